"""Countries and their capitals, in English and in Spanish.

The member states of the United Nations, one row each, with the common short
name (no article) and one capital. Where a state has more than one capital, or
its law and its practice differ, the row holds the official one: Sucre for
Bolivia, Pretoria for South Africa, Amsterdam for the Netherlands, Porto-Novo
for Benin, Yamoussoukro for Ivory Coast, Dodoma for Tanzania. Switzerland and
Nauru name no capital in law, so Bern and Yaren stand for their seats of
government. Israel's row holds the capital its own law names, which is disputed.

Left out, because both directions are asked and the question would give the
answer away in one of the two languages: every state whose capital shares its
name (Andorra, Djibouti, El Salvador, Guatemala, Guinea-Bissau, Kuwait,
Luxembourg, Mexico, Monaco, Panama, San Marino, Sao Tome and Principe,
Singapore, and Tunisia, which is "Túnez" twice in Spanish).

What the table does not know: states outside the United Nations' membership
(Kosovo, Palestine, Taiwan, Vatican City), territories, second capitals, other
spellings, former names and changes made after it was written (announced moves
such as Indonesia's and Equatorial Guinea's are not in it). A state on two
continents has one: Russia and Cyprus are under Europe; Turkey, the states of
the Caucasus and Kazakhstan are under Asia; Egypt is under Africa; Central
America and the Caribbean are under North America.

Names may be part of another name ("Niger" and "Nigeria", "Guinea" and
"Equatorial Guinea", "Argel" and "Argelia"), so compare whole words or strings.
"""

from __future__ import annotations

from typing import NamedTuple


class Country(NamedTuple):
    """One state and its capital in both languages."""

    continent: str
    english: str
    capital: str
    spanish: str
    spanish_capital: str


COUNTRIES: tuple[Country, ...] = (
    # Africa
    Country("Africa", "Algeria", "Algiers", "Argelia", "Argel"),
    Country("Africa", "Angola", "Luanda", "Angola", "Luanda"),
    Country("Africa", "Benin", "Porto-Novo", "Benín", "Porto Novo"),
    Country("Africa", "Botswana", "Gaborone", "Botsuana", "Gaborone"),
    Country("Africa", "Burkina Faso", "Ouagadougou", "Burkina Faso", "Uagadugú"),
    Country("Africa", "Burundi", "Gitega", "Burundi", "Gitega"),
    Country("Africa", "Cameroon", "Yaoundé", "Camerún", "Yaundé"),
    Country("Africa", "Cape Verde", "Praia", "Cabo Verde", "Praia"),
    Country(
        "Africa",
        "Central African Republic",
        "Bangui",
        "República Centroafricana",
        "Bangui",
    ),
    Country("Africa", "Chad", "N'Djamena", "Chad", "Yamena"),
    Country("Africa", "Comoros", "Moroni", "Comoras", "Moroni"),
    Country(
        "Africa", "Congo Republic", "Brazzaville", "República del Congo", "Brazzaville"
    ),
    Country(
        "Africa", "DR Congo", "Kinshasa", "República Democrática del Congo", "Kinsasa"
    ),
    Country("Africa", "Egypt", "Cairo", "Egipto", "El Cairo"),
    Country("Africa", "Equatorial Guinea", "Malabo", "Guinea Ecuatorial", "Malabo"),
    Country("Africa", "Eritrea", "Asmara", "Eritrea", "Asmara"),
    Country("Africa", "Eswatini", "Mbabane", "Esuatini", "Mbabane"),
    Country("Africa", "Ethiopia", "Addis Ababa", "Etiopía", "Adís Abeba"),
    Country("Africa", "Gabon", "Libreville", "Gabón", "Libreville"),
    Country("Africa", "Gambia", "Banjul", "Gambia", "Banjul"),
    Country("Africa", "Ghana", "Accra", "Ghana", "Acra"),
    Country("Africa", "Guinea", "Conakry", "Guinea", "Conakri"),
    Country("Africa", "Ivory Coast", "Yamoussoukro", "Costa de Marfil", "Yamusukro"),
    Country("Africa", "Kenya", "Nairobi", "Kenia", "Nairobi"),
    Country("Africa", "Lesotho", "Maseru", "Lesoto", "Maseru"),
    Country("Africa", "Liberia", "Monrovia", "Liberia", "Monrovia"),
    Country("Africa", "Libya", "Tripoli", "Libia", "Trípoli"),
    Country("Africa", "Madagascar", "Antananarivo", "Madagascar", "Antananarivo"),
    Country("Africa", "Malawi", "Lilongwe", "Malaui", "Lilongüe"),
    Country("Africa", "Mali", "Bamako", "Malí", "Bamako"),
    Country("Africa", "Mauritania", "Nouakchott", "Mauritania", "Nuakchot"),
    Country("Africa", "Mauritius", "Port Louis", "Mauricio", "Port Louis"),
    Country("Africa", "Morocco", "Rabat", "Marruecos", "Rabat"),
    Country("Africa", "Mozambique", "Maputo", "Mozambique", "Maputo"),
    Country("Africa", "Namibia", "Windhoek", "Namibia", "Windhoek"),
    Country("Africa", "Niger", "Niamey", "Níger", "Niamey"),
    Country("Africa", "Nigeria", "Abuja", "Nigeria", "Abuya"),
    Country("Africa", "Rwanda", "Kigali", "Ruanda", "Kigali"),
    Country("Africa", "Senegal", "Dakar", "Senegal", "Dakar"),
    Country("Africa", "Seychelles", "Victoria", "Seychelles", "Victoria"),
    Country("Africa", "Sierra Leone", "Freetown", "Sierra Leona", "Freetown"),
    Country("Africa", "Somalia", "Mogadishu", "Somalia", "Mogadiscio"),
    Country("Africa", "South Africa", "Pretoria", "Sudáfrica", "Pretoria"),
    Country("Africa", "South Sudan", "Juba", "Sudán del Sur", "Yuba"),
    Country("Africa", "Sudan", "Khartoum", "Sudán", "Jartum"),
    Country("Africa", "Tanzania", "Dodoma", "Tanzania", "Dodoma"),
    Country("Africa", "Togo", "Lomé", "Togo", "Lomé"),
    Country("Africa", "Uganda", "Kampala", "Uganda", "Kampala"),
    Country("Africa", "Zambia", "Lusaka", "Zambia", "Lusaka"),
    Country("Africa", "Zimbabwe", "Harare", "Zimbabue", "Harare"),
    # Europe
    Country("Europe", "Albania", "Tirana", "Albania", "Tirana"),
    Country("Europe", "Austria", "Vienna", "Austria", "Viena"),
    Country("Europe", "Belarus", "Minsk", "Bielorrusia", "Minsk"),
    Country("Europe", "Belgium", "Brussels", "Bélgica", "Bruselas"),
    Country(
        "Europe",
        "Bosnia and Herzegovina",
        "Sarajevo",
        "Bosnia y Herzegovina",
        "Sarajevo",
    ),
    Country("Europe", "Bulgaria", "Sofia", "Bulgaria", "Sofía"),
    Country("Europe", "Croatia", "Zagreb", "Croacia", "Zagreb"),
    Country("Europe", "Cyprus", "Nicosia", "Chipre", "Nicosia"),
    Country("Europe", "Czech Republic", "Prague", "República Checa", "Praga"),
    Country("Europe", "Denmark", "Copenhagen", "Dinamarca", "Copenhague"),
    Country("Europe", "Estonia", "Tallinn", "Estonia", "Tallin"),
    Country("Europe", "Finland", "Helsinki", "Finlandia", "Helsinki"),
    Country("Europe", "France", "Paris", "Francia", "París"),
    Country("Europe", "Germany", "Berlin", "Alemania", "Berlín"),
    Country("Europe", "Greece", "Athens", "Grecia", "Atenas"),
    Country("Europe", "Hungary", "Budapest", "Hungría", "Budapest"),
    Country("Europe", "Iceland", "Reykjavik", "Islandia", "Reikiavik"),
    Country("Europe", "Ireland", "Dublin", "Irlanda", "Dublín"),
    Country("Europe", "Italy", "Rome", "Italia", "Roma"),
    Country("Europe", "Latvia", "Riga", "Letonia", "Riga"),
    Country("Europe", "Liechtenstein", "Vaduz", "Liechtenstein", "Vaduz"),
    Country("Europe", "Lithuania", "Vilnius", "Lituania", "Vilna"),
    Country("Europe", "Malta", "Valletta", "Malta", "La Valeta"),
    Country("Europe", "Moldova", "Chișinău", "Moldavia", "Chisináu"),
    Country("Europe", "Montenegro", "Podgorica", "Montenegro", "Podgorica"),
    Country("Europe", "Netherlands", "Amsterdam", "Países Bajos", "Ámsterdam"),
    Country("Europe", "North Macedonia", "Skopje", "Macedonia del Norte", "Skopie"),
    Country("Europe", "Norway", "Oslo", "Noruega", "Oslo"),
    Country("Europe", "Poland", "Warsaw", "Polonia", "Varsovia"),
    Country("Europe", "Portugal", "Lisbon", "Portugal", "Lisboa"),
    Country("Europe", "Romania", "Bucharest", "Rumanía", "Bucarest"),
    Country("Europe", "Russia", "Moscow", "Rusia", "Moscú"),
    Country("Europe", "Serbia", "Belgrade", "Serbia", "Belgrado"),
    Country("Europe", "Slovakia", "Bratislava", "Eslovaquia", "Bratislava"),
    Country("Europe", "Slovenia", "Ljubljana", "Eslovenia", "Liubliana"),
    Country("Europe", "Spain", "Madrid", "España", "Madrid"),
    Country("Europe", "Sweden", "Stockholm", "Suecia", "Estocolmo"),
    Country("Europe", "Switzerland", "Bern", "Suiza", "Berna"),
    Country("Europe", "Ukraine", "Kyiv", "Ucrania", "Kiev"),
    Country("Europe", "United Kingdom", "London", "Reino Unido", "Londres"),
    # Asia
    Country("Asia", "Afghanistan", "Kabul", "Afganistán", "Kabul"),
    Country("Asia", "Armenia", "Yerevan", "Armenia", "Ereván"),
    Country("Asia", "Azerbaijan", "Baku", "Azerbaiyán", "Bakú"),
    Country("Asia", "Bahrain", "Manama", "Baréin", "Manama"),
    Country("Asia", "Bangladesh", "Dhaka", "Bangladés", "Daca"),
    Country("Asia", "Bhutan", "Thimphu", "Bután", "Timbu"),
    Country("Asia", "Brunei", "Bandar Seri Begawan", "Brunéi", "Bandar Seri Begawan"),
    Country("Asia", "Cambodia", "Phnom Penh", "Camboya", "Nom Pen"),
    Country("Asia", "China", "Beijing", "China", "Pekín"),
    Country("Asia", "East Timor", "Dili", "Timor Oriental", "Dili"),
    Country("Asia", "Georgia", "Tbilisi", "Georgia", "Tiflis"),
    Country("Asia", "India", "New Delhi", "India", "Nueva Delhi"),
    Country("Asia", "Indonesia", "Jakarta", "Indonesia", "Yakarta"),
    Country("Asia", "Iran", "Tehran", "Irán", "Teherán"),
    Country("Asia", "Iraq", "Baghdad", "Irak", "Bagdad"),
    Country("Asia", "Israel", "Jerusalem", "Israel", "Jerusalén"),
    Country("Asia", "Japan", "Tokyo", "Japón", "Tokio"),
    Country("Asia", "Jordan", "Amman", "Jordania", "Amán"),
    Country("Asia", "Kazakhstan", "Astana", "Kazajistán", "Astaná"),
    Country("Asia", "Kyrgyzstan", "Bishkek", "Kirguistán", "Biskek"),
    Country("Asia", "Laos", "Vientiane", "Laos", "Vientián"),
    Country("Asia", "Lebanon", "Beirut", "Líbano", "Beirut"),
    Country("Asia", "Malaysia", "Kuala Lumpur", "Malasia", "Kuala Lumpur"),
    Country("Asia", "Maldives", "Malé", "Maldivas", "Malé"),
    Country("Asia", "Mongolia", "Ulaanbaatar", "Mongolia", "Ulán Bator"),
    Country("Asia", "Myanmar", "Naypyidaw", "Birmania", "Naipyidó"),
    Country("Asia", "Nepal", "Kathmandu", "Nepal", "Katmandú"),
    Country("Asia", "North Korea", "Pyongyang", "Corea del Norte", "Pionyang"),
    Country("Asia", "Oman", "Muscat", "Omán", "Mascate"),
    Country("Asia", "Pakistan", "Islamabad", "Pakistán", "Islamabad"),
    Country("Asia", "Philippines", "Manila", "Filipinas", "Manila"),
    Country("Asia", "Qatar", "Doha", "Catar", "Doha"),
    Country("Asia", "Saudi Arabia", "Riyadh", "Arabia Saudí", "Riad"),
    Country("Asia", "South Korea", "Seoul", "Corea del Sur", "Seúl"),
    Country(
        "Asia",
        "Sri Lanka",
        "Sri Jayawardenepura Kotte",
        "Sri Lanka",
        "Sri Jayewardenepura Kotte",
    ),
    Country("Asia", "Syria", "Damascus", "Siria", "Damasco"),
    Country("Asia", "Tajikistan", "Dushanbe", "Tayikistán", "Dusambé"),
    Country("Asia", "Thailand", "Bangkok", "Tailandia", "Bangkok"),
    Country("Asia", "Turkey", "Ankara", "Turquía", "Ankara"),
    Country("Asia", "Turkmenistan", "Ashgabat", "Turkmenistán", "Asjabad"),
    Country(
        "Asia",
        "United Arab Emirates",
        "Abu Dhabi",
        "Emiratos Árabes Unidos",
        "Abu Dabi",
    ),
    Country("Asia", "Uzbekistan", "Tashkent", "Uzbekistán", "Taskent"),
    Country("Asia", "Vietnam", "Hanoi", "Vietnam", "Hanói"),
    Country("Asia", "Yemen", "Sanaa", "Yemen", "Saná"),
    # North America
    Country(
        "North America",
        "Antigua and Barbuda",
        "Saint John's",
        "Antigua y Barbuda",
        "Saint John",
    ),
    Country("North America", "Bahamas", "Nassau", "Bahamas", "Nasáu"),
    Country("North America", "Barbados", "Bridgetown", "Barbados", "Bridgetown"),
    Country("North America", "Belize", "Belmopan", "Belice", "Belmopán"),
    Country("North America", "Canada", "Ottawa", "Canadá", "Ottawa"),
    Country("North America", "Costa Rica", "San José", "Costa Rica", "San José"),
    Country("North America", "Cuba", "Havana", "Cuba", "La Habana"),
    Country("North America", "Dominica", "Roseau", "Dominica", "Roseau"),
    Country(
        "North America",
        "Dominican Republic",
        "Santo Domingo",
        "República Dominicana",
        "Santo Domingo",
    ),
    Country("North America", "Grenada", "Saint George's", "Granada", "Saint George"),
    Country("North America", "Haiti", "Port-au-Prince", "Haití", "Puerto Príncipe"),
    Country("North America", "Honduras", "Tegucigalpa", "Honduras", "Tegucigalpa"),
    Country("North America", "Jamaica", "Kingston", "Jamaica", "Kingston"),
    Country("North America", "Nicaragua", "Managua", "Nicaragua", "Managua"),
    Country(
        "North America",
        "Saint Kitts and Nevis",
        "Basseterre",
        "San Cristóbal y Nieves",
        "Basseterre",
    ),
    Country("North America", "Saint Lucia", "Castries", "Santa Lucía", "Castries"),
    Country(
        "North America",
        "Saint Vincent and the Grenadines",
        "Kingstown",
        "San Vicente y las Granadinas",
        "Kingstown",
    ),
    Country(
        "North America",
        "Trinidad and Tobago",
        "Port of Spain",
        "Trinidad y Tobago",
        "Puerto España",
    ),
    Country(
        "North America", "United States", "Washington", "Estados Unidos", "Washington"
    ),
    # South America
    Country("South America", "Argentina", "Buenos Aires", "Argentina", "Buenos Aires"),
    Country("South America", "Bolivia", "Sucre", "Bolivia", "Sucre"),
    Country("South America", "Brazil", "Brasília", "Brasil", "Brasilia"),
    Country("South America", "Chile", "Santiago", "Chile", "Santiago"),
    Country("South America", "Colombia", "Bogotá", "Colombia", "Bogotá"),
    Country("South America", "Ecuador", "Quito", "Ecuador", "Quito"),
    Country("South America", "Guyana", "Georgetown", "Guyana", "Georgetown"),
    Country("South America", "Paraguay", "Asunción", "Paraguay", "Asunción"),
    Country("South America", "Peru", "Lima", "Perú", "Lima"),
    Country("South America", "Suriname", "Paramaribo", "Surinam", "Paramaribo"),
    Country("South America", "Uruguay", "Montevideo", "Uruguay", "Montevideo"),
    Country("South America", "Venezuela", "Caracas", "Venezuela", "Caracas"),
    # Oceania
    Country("Oceania", "Australia", "Canberra", "Australia", "Canberra"),
    Country("Oceania", "Fiji", "Suva", "Fiyi", "Suva"),
    Country("Oceania", "Kiribati", "South Tarawa", "Kiribati", "Tarawa Sur"),
    Country("Oceania", "Marshall Islands", "Majuro", "Islas Marshall", "Majuro"),
    Country("Oceania", "Micronesia", "Palikir", "Micronesia", "Palikir"),
    Country("Oceania", "Nauru", "Yaren", "Nauru", "Yaren"),
    Country("Oceania", "New Zealand", "Wellington", "Nueva Zelanda", "Wellington"),
    Country("Oceania", "Palau", "Ngerulmud", "Palaos", "Ngerulmud"),
    Country(
        "Oceania",
        "Papua New Guinea",
        "Port Moresby",
        "Papúa Nueva Guinea",
        "Port Moresby",
    ),
    Country("Oceania", "Samoa", "Apia", "Samoa", "Apia"),
    Country("Oceania", "Solomon Islands", "Honiara", "Islas Salomón", "Honiara"),
    Country("Oceania", "Tonga", "Nuku'alofa", "Tonga", "Nukualofa"),
    Country("Oceania", "Tuvalu", "Funafuti", "Tuvalu", "Funafuti"),
    Country("Oceania", "Vanuatu", "Port Vila", "Vanuatu", "Port Vila"),
)

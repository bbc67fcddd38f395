"""General facts that are nobody's secret: elements, animals and colours.

Each row is one fact with one short answer, in English and in Spanish. The
English subject carries an article only where its kind's templates need one
there ("a lemon"); the Spanish subject always carries its article where the
noun takes one ("el oro"), and the Spanish templates never put "de" or "a" in
front of it, so no contraction is needed. A Spanish colour is in the masculine,
since the templates say "de color".

What the table does not know: second right answers ("kid" and "goatling"),
varieties that differ from the common one (green tomatoes, white carrots) or
light instead of paint in the colour mixes. A young butterfly or frog is its
larva. Subjects repeat between kinds, never within one; answers repeat freely.
"""

from __future__ import annotations

from typing import NamedTuple


class GeneralFact(NamedTuple):
    """One fact of a kind named in `TEMPLATES`."""

    kind: str
    subject: str
    subject_es: str
    answer: str
    answer_es: str


class KindTemplates(NamedTuple):
    """How to ask and how to state the facts of one kind."""

    questions: tuple[str, str]
    statement: str
    question_es: str
    statement_es: str


TEMPLATES: dict[str, KindTemplates] = {
    "element-symbol": KindTemplates(
        questions=(
            "What is the chemical symbol of {subject}?",
            "Which symbol stands for {subject}?",
        ),
        statement="The chemical symbol of {subject} is {answer}.",
        question_es="¿Qué símbolo químico tiene {subject}?",
        statement_es="En química, {subject} tiene el símbolo {answer}.",
    ),
    "element-number": KindTemplates(
        questions=(
            "What is the atomic number of {subject}?",
            "Which atomic number does {subject} have?",
        ),
        statement="The atomic number of {subject} is {answer}.",
        question_es="¿Qué número atómico tiene {subject}?",
        statement_es="En la tabla periódica, {subject} tiene el número atómico {answer}.",
    ),
    "animal-young": KindTemplates(
        questions=(
            "What is the word for a young {subject}?",
            "What do you call a baby {subject}?",
        ),
        statement="The word for a young {subject} is {answer}.",
        question_es="¿Cómo se llama la cría que tiene {subject}?",
        statement_es="La cría que tiene {subject} se llama {answer}.",
    ),
    "animal-class": KindTemplates(
        questions=(
            "Which animal class does the {subject} belong to?",
            "What is the animal class of the {subject}?",
        ),
        statement="The animal class of the {subject} is {answer}.",
        question_es="¿A qué clase de animales pertenece {subject}?",
        statement_es="Entre los animales, {subject} se clasifica como {answer}.",
    ),
    "colour-of": KindTemplates(
        questions=(
            "What colour is {subject}?",
            "What is the colour of {subject}?",
        ),
        statement="The colour of {subject} is {answer}.",
        question_es="¿De qué color es {subject}?",
        statement_es="Normalmente, {subject} es de color {answer}.",
    ),
    "colour-mix": KindTemplates(
        questions=(
            "What colour do you get by mixing {subject} paint?",
            "Which colour does {subject} paint make when mixed?",
        ),
        statement="Mixing {subject} paint gives {answer}.",
        question_es="¿Qué color se obtiene al mezclar pintura de color {subject}?",
        statement_es="Al mezclar pintura de color {subject} se obtiene {answer}.",
    ),
}

GENERAL: tuple[GeneralFact, ...] = (
    # element-symbol
    GeneralFact("element-symbol", "hydrogen", "el hidrógeno", "H", "H"),
    GeneralFact("element-symbol", "helium", "el helio", "He", "He"),
    GeneralFact("element-symbol", "lithium", "el litio", "Li", "Li"),
    GeneralFact("element-symbol", "boron", "el boro", "B", "B"),
    GeneralFact("element-symbol", "carbon", "el carbono", "C", "C"),
    GeneralFact("element-symbol", "nitrogen", "el nitrógeno", "N", "N"),
    GeneralFact("element-symbol", "oxygen", "el oxígeno", "O", "O"),
    GeneralFact("element-symbol", "fluorine", "el flúor", "F", "F"),
    GeneralFact("element-symbol", "neon", "el neón", "Ne", "Ne"),
    GeneralFact("element-symbol", "sodium", "el sodio", "Na", "Na"),
    GeneralFact("element-symbol", "magnesium", "el magnesio", "Mg", "Mg"),
    GeneralFact("element-symbol", "aluminium", "el aluminio", "Al", "Al"),
    GeneralFact("element-symbol", "silicon", "el silicio", "Si", "Si"),
    GeneralFact("element-symbol", "phosphorus", "el fósforo", "P", "P"),
    GeneralFact("element-symbol", "sulfur", "el azufre", "S", "S"),
    GeneralFact("element-symbol", "chlorine", "el cloro", "Cl", "Cl"),
    GeneralFact("element-symbol", "argon", "el argón", "Ar", "Ar"),
    GeneralFact("element-symbol", "potassium", "el potasio", "K", "K"),
    GeneralFact("element-symbol", "calcium", "el calcio", "Ca", "Ca"),
    GeneralFact("element-symbol", "titanium", "el titanio", "Ti", "Ti"),
    GeneralFact("element-symbol", "chromium", "el cromo", "Cr", "Cr"),
    GeneralFact("element-symbol", "manganese", "el manganeso", "Mn", "Mn"),
    GeneralFact("element-symbol", "iron", "el hierro", "Fe", "Fe"),
    GeneralFact("element-symbol", "cobalt", "el cobalto", "Co", "Co"),
    GeneralFact("element-symbol", "nickel", "el níquel", "Ni", "Ni"),
    GeneralFact("element-symbol", "copper", "el cobre", "Cu", "Cu"),
    GeneralFact("element-symbol", "zinc", "el zinc", "Zn", "Zn"),
    GeneralFact("element-symbol", "arsenic", "el arsénico", "As", "As"),
    GeneralFact("element-symbol", "bromine", "el bromo", "Br", "Br"),
    GeneralFact("element-symbol", "krypton", "el kriptón", "Kr", "Kr"),
    GeneralFact("element-symbol", "silver", "la plata", "Ag", "Ag"),
    GeneralFact("element-symbol", "tin", "el estaño", "Sn", "Sn"),
    GeneralFact("element-symbol", "iodine", "el yodo", "I", "I"),
    GeneralFact("element-symbol", "barium", "el bario", "Ba", "Ba"),
    GeneralFact("element-symbol", "tungsten", "el wolframio", "W", "W"),
    GeneralFact("element-symbol", "platinum", "el platino", "Pt", "Pt"),
    GeneralFact("element-symbol", "gold", "el oro", "Au", "Au"),
    GeneralFact("element-symbol", "mercury", "el mercurio", "Hg", "Hg"),
    GeneralFact("element-symbol", "lead", "el plomo", "Pb", "Pb"),
    GeneralFact("element-symbol", "uranium", "el uranio", "U", "U"),
    # element-number
    GeneralFact("element-number", "hydrogen", "el hidrógeno", "1", "1"),
    GeneralFact("element-number", "helium", "el helio", "2", "2"),
    GeneralFact("element-number", "lithium", "el litio", "3", "3"),
    GeneralFact("element-number", "beryllium", "el berilio", "4", "4"),
    GeneralFact("element-number", "boron", "el boro", "5", "5"),
    GeneralFact("element-number", "carbon", "el carbono", "6", "6"),
    GeneralFact("element-number", "nitrogen", "el nitrógeno", "7", "7"),
    GeneralFact("element-number", "oxygen", "el oxígeno", "8", "8"),
    GeneralFact("element-number", "fluorine", "el flúor", "9", "9"),
    GeneralFact("element-number", "neon", "el neón", "10", "10"),
    GeneralFact("element-number", "sodium", "el sodio", "11", "11"),
    GeneralFact("element-number", "magnesium", "el magnesio", "12", "12"),
    GeneralFact("element-number", "aluminium", "el aluminio", "13", "13"),
    GeneralFact("element-number", "silicon", "el silicio", "14", "14"),
    GeneralFact("element-number", "phosphorus", "el fósforo", "15", "15"),
    GeneralFact("element-number", "sulfur", "el azufre", "16", "16"),
    GeneralFact("element-number", "chlorine", "el cloro", "17", "17"),
    GeneralFact("element-number", "argon", "el argón", "18", "18"),
    GeneralFact("element-number", "potassium", "el potasio", "19", "19"),
    GeneralFact("element-number", "calcium", "el calcio", "20", "20"),
    GeneralFact("element-number", "titanium", "el titanio", "22", "22"),
    GeneralFact("element-number", "iron", "el hierro", "26", "26"),
    GeneralFact("element-number", "nickel", "el níquel", "28", "28"),
    GeneralFact("element-number", "copper", "el cobre", "29", "29"),
    GeneralFact("element-number", "zinc", "el zinc", "30", "30"),
    GeneralFact("element-number", "silver", "la plata", "47", "47"),
    GeneralFact("element-number", "iodine", "el yodo", "53", "53"),
    GeneralFact("element-number", "gold", "el oro", "79", "79"),
    GeneralFact("element-number", "lead", "el plomo", "82", "82"),
    GeneralFact("element-number", "uranium", "el uranio", "92", "92"),
    # animal-young
    GeneralFact("animal-young", "cow", "la vaca", "calf", "ternero"),
    GeneralFact("animal-young", "sheep", "la oveja", "lamb", "cordero"),
    GeneralFact("animal-young", "horse", "el caballo", "foal", "potro"),
    GeneralFact("animal-young", "goat", "la cabra", "kid", "cabrito"),
    GeneralFact("animal-young", "dog", "el perro", "puppy", "cachorro"),
    GeneralFact("animal-young", "cat", "el gato", "kitten", "gatito"),
    GeneralFact("animal-young", "pig", "el cerdo", "piglet", "lechón"),
    GeneralFact("animal-young", "duck", "el pato", "duckling", "patito"),
    GeneralFact("animal-young", "goose", "el ganso", "gosling", "ansarino"),
    GeneralFact("animal-young", "chicken", "la gallina", "chick", "pollito"),
    GeneralFact("animal-young", "turkey", "el pavo", "poult", "pavipollo"),
    GeneralFact("animal-young", "pigeon", "la paloma", "squab", "pichón"),
    GeneralFact("animal-young", "eagle", "el águila", "eaglet", "aguilucho"),
    GeneralFact("animal-young", "frog", "la rana", "tadpole", "renacuajo"),
    GeneralFact("animal-young", "butterfly", "la mariposa", "caterpillar", "oruga"),
    GeneralFact("animal-young", "lion", "el león", "cub", "cachorro"),
    GeneralFact("animal-young", "tiger", "el tigre", "cub", "cachorro"),
    GeneralFact("animal-young", "bear", "el oso", "cub", "osezno"),
    GeneralFact("animal-young", "wolf", "el lobo", "pup", "lobezno"),
    GeneralFact("animal-young", "deer", "el ciervo", "fawn", "cervatillo"),
    GeneralFact("animal-young", "hare", "la liebre", "leveret", "lebrato"),
    GeneralFact("animal-young", "donkey", "el burro", "foal", "pollino"),
    GeneralFact("animal-young", "whale", "la ballena", "calf", "ballenato"),
    GeneralFact("animal-young", "eel", "la anguila", "elver", "angula"),
    # animal-class
    GeneralFact("animal-class", "dolphin", "el delfín", "mammal", "mamífero"),
    GeneralFact("animal-class", "bat", "el murciélago", "mammal", "mamífero"),
    GeneralFact("animal-class", "elephant", "el elefante", "mammal", "mamífero"),
    GeneralFact("animal-class", "rabbit", "el conejo", "mammal", "mamífero"),
    GeneralFact("animal-class", "squirrel", "la ardilla", "mammal", "mamífero"),
    GeneralFact("animal-class", "otter", "la nutria", "mammal", "mamífero"),
    GeneralFact("animal-class", "hedgehog", "el erizo", "mammal", "mamífero"),
    GeneralFact("animal-class", "kangaroo", "el canguro", "mammal", "mamífero"),
    GeneralFact("animal-class", "penguin", "el pingüino", "bird", "ave"),
    GeneralFact("animal-class", "ostrich", "el avestruz", "bird", "ave"),
    GeneralFact("animal-class", "parrot", "el loro", "bird", "ave"),
    GeneralFact("animal-class", "falcon", "el halcón", "bird", "ave"),
    GeneralFact("animal-class", "sparrow", "el gorrión", "bird", "ave"),
    GeneralFact("animal-class", "flamingo", "el flamenco", "bird", "ave"),
    GeneralFact("animal-class", "stork", "la cigüeña", "bird", "ave"),
    GeneralFact("animal-class", "hummingbird", "el colibrí", "bird", "ave"),
    GeneralFact("animal-class", "salmon", "el salmón", "fish", "pez"),
    GeneralFact("animal-class", "trout", "la trucha", "fish", "pez"),
    GeneralFact("animal-class", "tuna", "el atún", "fish", "pez"),
    GeneralFact("animal-class", "cod", "el bacalao", "fish", "pez"),
    GeneralFact("animal-class", "shark", "el tiburón", "fish", "pez"),
    GeneralFact("animal-class", "seahorse", "el caballito de mar", "fish", "pez"),
    GeneralFact("animal-class", "sardine", "la sardina", "fish", "pez"),
    GeneralFact("animal-class", "crocodile", "el cocodrilo", "reptile", "reptil"),
    GeneralFact("animal-class", "tortoise", "la tortuga", "reptile", "reptil"),
    GeneralFact("animal-class", "lizard", "el lagarto", "reptile", "reptil"),
    GeneralFact("animal-class", "cobra", "la cobra", "reptile", "reptil"),
    GeneralFact("animal-class", "iguana", "la iguana", "reptile", "reptil"),
    GeneralFact("animal-class", "chameleon", "el camaleón", "reptile", "reptil"),
    GeneralFact("animal-class", "gecko", "el geco", "reptile", "reptil"),
    GeneralFact("animal-class", "ant", "la hormiga", "insect", "insecto"),
    GeneralFact("animal-class", "bee", "la abeja", "insect", "insecto"),
    GeneralFact("animal-class", "beetle", "el escarabajo", "insect", "insecto"),
    GeneralFact("animal-class", "mosquito", "el mosquito", "insect", "insecto"),
    GeneralFact("animal-class", "dragonfly", "la libélula", "insect", "insecto"),
    GeneralFact("animal-class", "grasshopper", "el saltamontes", "insect", "insecto"),
    GeneralFact("animal-class", "moth", "la polilla", "insect", "insecto"),
    GeneralFact("animal-class", "toad", "el sapo", "amphibian", "anfibio"),
    GeneralFact("animal-class", "newt", "el tritón", "amphibian", "anfibio"),
    GeneralFact("animal-class", "salamander", "la salamandra", "amphibian", "anfibio"),
    GeneralFact("animal-class", "frog", "la rana", "amphibian", "anfibio"),
    GeneralFact("animal-class", "axolotl", "el ajolote", "amphibian", "anfibio"),
    # colour-of
    GeneralFact("colour-of", "snow", "la nieve", "white", "blanco"),
    GeneralFact("colour-of", "milk", "la leche", "white", "blanco"),
    GeneralFact("colour-of", "flour", "la harina", "white", "blanco"),
    GeneralFact("colour-of", "cotton", "el algodón", "white", "blanco"),
    GeneralFact("colour-of", "a polar bear", "el oso polar", "white", "blanco"),
    GeneralFact("colour-of", "coal", "el carbón", "black", "negro"),
    GeneralFact("colour-of", "soot", "el hollín", "black", "negro"),
    GeneralFact("colour-of", "tar", "el alquitrán", "black", "negro"),
    GeneralFact("colour-of", "a crow", "el cuervo", "black", "negro"),
    GeneralFact("colour-of", "blood", "la sangre", "red", "rojo"),
    GeneralFact("colour-of", "ketchup", "el kétchup", "red", "rojo"),
    GeneralFact("colour-of", "a ruby", "el rubí", "red", "rojo"),
    GeneralFact("colour-of", "a ripe strawberry", "la fresa madura", "red", "rojo"),
    GeneralFact("colour-of", "a ripe tomato", "el tomate maduro", "red", "rojo"),
    GeneralFact("colour-of", "a fire engine", "el coche de bomberos", "red", "rojo"),
    GeneralFact("colour-of", "grass", "la hierba", "green", "verde"),
    GeneralFact("colour-of", "spinach", "la espinaca", "green", "verde"),
    GeneralFact("colour-of", "broccoli", "el brócoli", "green", "verde"),
    GeneralFact("colour-of", "a cucumber", "el pepino", "green", "verde"),
    GeneralFact("colour-of", "an emerald", "la esmeralda", "green", "verde"),
    GeneralFact("colour-of", "a ripe lemon", "el limón maduro", "yellow", "amarillo"),
    GeneralFact(
        "colour-of", "a ripe banana", "el plátano maduro", "yellow", "amarillo"
    ),
    GeneralFact("colour-of", "an egg yolk", "la yema de huevo", "yellow", "amarillo"),
    GeneralFact("colour-of", "a canary", "el canario", "yellow", "amarillo"),
    GeneralFact("colour-of", "a carrot", "la zanahoria", "orange", "naranja"),
    GeneralFact("colour-of", "a pumpkin", "la calabaza", "orange", "naranja"),
    GeneralFact(
        "colour-of",
        "the clear daytime sky",
        "el cielo despejado de día",
        "blue",
        "azul",
    ),
    GeneralFact("colour-of", "a sapphire", "el zafiro", "blue", "azul"),
    GeneralFact(
        "colour-of", "milk chocolate", "el chocolate con leche", "brown", "marrón"
    ),
    GeneralFact("colour-of", "an elephant", "el elefante", "grey", "gris"),
    GeneralFact("colour-of", "a flamingo", "el flamenco", "pink", "rosa"),
    # colour-mix
    GeneralFact("colour-mix", "red and yellow", "rojo y amarillo", "orange", "naranja"),
    GeneralFact("colour-mix", "blue and yellow", "azul y amarillo", "green", "verde"),
    GeneralFact("colour-mix", "red and blue", "rojo y azul", "purple", "morado"),
    GeneralFact("colour-mix", "red and white", "rojo y blanco", "pink", "rosa"),
    GeneralFact("colour-mix", "black and white", "negro y blanco", "grey", "gris"),
    GeneralFact("colour-mix", "red and green", "rojo y verde", "brown", "marrón"),
)

"""Topics: what to forget and what to keep, from the built-in world, a file or an uploaded list. Knows no model."""

from .catalogue import Completed, completed, describe, find_topic, topics
from .reader import read_topic, write_topic
from .topic import Given, Question, Topic
from .uploads import from_rows, parse_upload

__all__ = ["Completed", "Given", "Question", "Topic", "completed", "describe", "find_topic", "from_rows",
           "parse_upload", "read_topic", "topics", "write_topic"]

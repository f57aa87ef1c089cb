"""The language model behind any server that speaks OpenAI's chat completions API; the only door to `openai`."""

import base64
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from email.utils import parsedate_to_datetime
from typing import Any, Self, TypeVar

import httpx2
import openai
from loguru import logger
from pydantic import BaseModel, ValidationError

from l2mac.dialect import Dialect
from l2mac.errors import SettingsError
from l2mac.messages import Message, Reply, Request, Role, ToolSpec
from l2mac.model_settings import ModelSettings
from l2mac.processor import Watcher
from l2mac.rate_limit import RateLimit
from l2mac.refusals import Failure, Redactor, Trouble, explain, judge
from l2mac.reply_reader import MalformedAnswer, ReplyReader
from l2mac.tool_protocol import JsonTools, NativeTools, ToolProtocol

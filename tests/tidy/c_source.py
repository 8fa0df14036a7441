"""Reads C just well enough for the rules: comments, tokens, directives, functions, nesting.

It is no compiler: it trusts that the tree compiles and is formatted, which other rules check.
"""

import re
from collections import namedtuple
from functools import cached_property

Token = namedtuple("Token", "kind text line")
Directive = namedtuple("Directive", "name rest line last_line")
Function = namedtuple("Function", "name static line end_line parameters body")

_TOKEN = re.compile(
    r"""(?P<comment>/\*.*?\*/|//[^\n]*)
      | (?P<blank>[^\S\n]+|\\\n)
      | (?P<string>"(?:\\.|[^"\\\n])*")
      | (?P<char>'(?:\\.|[^'\\\n])+')
      | (?P<name>[A-Za-z_]\w*)
      | (?P<number>\.?\d(?:[eEpP][+-]|[\w.])*)
      | (?P<punct>->|\+\+|--|<<=|>>=|\.\.\.|[-+*/%&|^<>=!]=|&&|\|\||<<|>>|\#\#|[^\w\s])
      | (?P<newline>\n)""",
    re.VERBOSE | re.DOTALL,
)
_CLOSER = {"(": ")", "[": "]", "{": "}"}
_LOOPS = {"for", "while", "switch"}


class Source:
    """One file. `path` is relative to the top of the tree, with forward slashes."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.lines = text.split("\n")
        self.comments = []  # (first line, last line, text)
        self.directives = []
        self.tokens = []  # without comments and directives
        self.macro_tokens = []  # what #define lines hold
        self._read()

    def _read(self):
        line, position, line_is_blank = 1, 0, True
        while position < len(self.text):
            if line_is_blank and self.text[position] == "#":
                position, line = self._read_directive(position, line)
                continue
            match = _TOKEN.match(self.text, position)
            kind, text = match.lastgroup, match.group()
            if kind == "comment":
                self.comments.append((line, line + text.count("\n"), text))
            elif kind not in ("newline", "blank"):
                self.tokens.append(Token(kind, text, line))
                line_is_blank = False
            line_is_blank = kind == "newline" or line_is_blank
            line += text.count("\n")
            position = match.end()

    def _read_directive(self, position, line):
        first, pieces = line, []
        while position < len(self.text):
            match = _TOKEN.match(self.text, position)
            kind, text = match.lastgroup, match.group()
            if kind == "newline":
                break
            if kind == "comment":
                self.comments.append((line, line + text.count("\n"), text))
            elif kind != "blank":
                pieces.append(Token(kind, text, line))
            line += text.count("\n")
            position = match.end()
        name = pieces[1].text if len(pieces) > 1 else ""
        if name == "define":
            self.macro_tokens += pieces[3:]
        rest = "".join(piece.text for piece in pieces[2:])
        self.directives.append(Directive(name, rest, first, line))
        return position, line

    def excused(self, line):
        """Whether a comment that says `rule zero: why` ends on the line above, or on the line."""
        return any(
            last in (line - 1, line) and re.search(r"rule zero:\s*\w+", text)
            for _, last, text in self.comments
        )

    @cached_property
    def functions(self):
        return list(_functions(self.tokens))


def _skip(tokens, start):
    """The position behind the bracket that closes tokens[start]."""
    depth = 0
    for position in range(start, len(tokens)):
        if tokens[position].text in _CLOSER:
            depth += 1
        elif tokens[position].text in (")", "]", "}"):
            depth -= 1
            if depth == 0:
                return position + 1
    return len(tokens)


def _functions(tokens):
    start = position = 0
    while position < len(tokens):
        text = tokens[position].text
        if text == "(":
            position = _skip(tokens, position)
        elif text == "{":
            end = _skip(tokens, position)
            function = _as_function(tokens, start, position, end)
            if function:
                yield function
                start = end
            position = end
        else:
            position += 1
            if text == ";":
                start = position


def _as_function(tokens, start, brace, end):
    head = tokens[start:brace]
    depth = 0
    for position, token in enumerate(head):
        if token.text == "=":
            return None
        if token.text == "(" and depth == 0 and position > 0:
            name = head[position - 1]
            if name.kind == "name" and name.text not in ("__attribute__", "_Alignas"):
                close = _skip(head, position)
                parameters = _count_parameters(head[position + 1 : close - 1])
                static = any(piece.text == "static" for piece in head[:position])
                line, last = head[0].line, tokens[end - 1].line
                return Function(name.text, static, line, last, parameters, tokens[brace + 1 : end - 1])
        depth += (token.text in _CLOSER) - (token.text in (")", "]", "}"))
    return None


def _count_parameters(tokens):
    if not tokens or [token.text for token in tokens] == ["void"]:
        return 0
    depth, count = 0, 1
    for token in tokens:
        depth += (token.text in _CLOSER) - (token.text in (")", "]", "}"))
        count += token.text == "," and depth == 0
    return count - (tokens[-1].text == "...")


def deepest_nesting(body):
    """(levels, line) of the deepest control structure of a function's body; `else if` is no level."""
    return _Statements(body).deepest()


class _Statements:
    def __init__(self, tokens):
        self.tokens = tokens
        self.worst = (0, tokens[0].line if tokens else 0)

    def deepest(self):
        position = 0
        while position < len(self.tokens):
            position = self._statement(position, 0)
        return self.worst

    def _text(self, position):
        return self.tokens[position].text if position < len(self.tokens) else ""

    def _enter(self, position, depth):
        self.worst = max(self.worst, (depth + 1, self.tokens[position].line), key=lambda at: at[0])
        return depth + 1

    def _statement(self, position, depth):
        text = self._text(position)
        if text == "{":
            end = _skip(self.tokens, position)
            position += 1
            while position < end - 1:
                position = self._statement(position, depth)
            return end
        if text == "if":
            return self._if(position, depth)
        if text == "do":
            position = self._statement(position + 1, self._enter(position, depth))
            return _skip(self.tokens, position + 1) + 1
        if text in _LOOPS or re.search(r"_EACH(_\w+)?$", text):
            inside = self._enter(position, depth)
            return self._statement(_skip(self.tokens, position + 1), inside)
        return self._simple(position)

    def _if(self, position, depth):
        inside = self._enter(position, depth)
        position = self._statement(_skip(self.tokens, position + 1), inside)
        if self._text(position) != "else":
            return position
        if self._text(position + 1) == "if":
            return self._if(position + 1, depth)
        return self._statement(position + 1, inside)

    def _simple(self, position):
        """Behind the `;` of an expression or a declaration, or behind a label."""
        label = self._text(position) in ("case", "default") or self._text(position + 1) == ":"
        while position < len(self.tokens):
            text = self._text(position)
            if text in _CLOSER:
                position = _skip(self.tokens, position)
                continue
            position += 1
            if text == ";" or (label and text == ":"):
                break
        return position

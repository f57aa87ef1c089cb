"""A scripted model that writes a book of two chapters, with every kind of mistake at first."""

from l2mac.testing.scripted_reply import ScriptedReply, messages_of, tool_names_of

OUTLINE = """# A Small Book of Bread

Names: Katherine Brown
Terms: levain

## Chapter 1: The Flour

Words: 25

Katherine Brown looks at flour.

## Chapter 2: The Oven

Words: 25

What heat does.
"""
FLOUR = """# Chapter 1: The Flour

Every loaf begins with flour, said Katherine Brown, and she weighed the levain with care.
Chapter 2 tells of heat, which comes later, as `a < b` shows; 5 & 6 remain.
"""
BAD_OVEN = """# Chapter 2: The Ofen

TODO: As Catherine said in Chapter 7, an oven wants an hour. [Insert picture here]
"""
OVEN = """# Chapter 2: The Oven

An oven wants an hour before the first loaf goes in, and it wants patience.
See [the flour](01-the-flour.md) for what goes into it, and wait.

## Steam

| Minute | What |
|--------|------|
| 1      | hiss |

1. Pour.
2. Close.
"""
FILES = {"outline.md": OUTLINE, "chapters/01-the-flour.md": FLOUR, "chapters/02-the-oven.md": OVEN}
FORMS: dict[str, dict[str, object]] = {
    "submit_requirements": {"requirements": ["It has two chapters.", "It tells of heat."]},
    "submit_coverage": {
        "coverage": [{"requirement": 1, "steps": [2]}, {"requirement": 2, "steps": [2]}]
    },
    "submit_evidence": {
        "evidence": [
            {
                "requirement": 1,
                "files": ["chapters/01-the-flour.md", "chapters/02-the-oven.md"],
                "tests": [],
            },
            {"requirement": 2, "files": ["chapters/02-the-oven.md"], "tests": []},
        ]
    },
}
OPINION = "The oven is said to want an hour, which no reader can check."


def answer(body: dict[str, object], _: int) -> ScriptedReply:
    """Reply to a request: the script of a `ModelServer`."""
    tools = tool_names_of(body)
    last = messages_of(body)[-1].content
    if "ready" in tools:
        return ScriptedReply(tool_calls=[("ready", {})])
    if tools == {"submit_plan"}:
        steps = ["Write outline.md.", "Write chapters 1 and 2."]
        return ScriptedReply(tool_calls=[("submit_plan", {"steps": steps})])
    if tools & FORMS.keys():
        return ScriptedReply(tool_calls=[(name, FORMS[name]) for name in tools])
    if not tools:
        return ScriptedReply(OPINION if "second opinion" in last else "It is written.")
    turn = sum(message.role == "assistant" for message in messages_of(body))
    first = "number 1 of 2" in messages_of(body)[1].content
    if first:
        return (_write("outline.md"), _done())[min(turn, 1)]
    wrong = ScriptedReply(
        tool_calls=[
            ("write_files", {"files": [{"path": "chapters/02-oven.md", "content": BAD_OVEN}]})
        ]
    )
    gone = ScriptedReply(tool_calls=[("delete_files", {"paths": ["chapters/02-oven.md"]})])
    return (
        wrong,
        _done(),
        gone,
        _write("chapters/01-the-flour.md", "chapters/02-the-oven.md"),
        _done(),
    )[min(turn, 4)]


def _write(*paths: str) -> ScriptedReply:
    return ScriptedReply(
        tool_calls=[
            ("write_files", {"files": [{"path": one, "content": FILES[one]} for one in paths]})
        ]
    )


def _done() -> ScriptedReply:
    return ScriptedReply(tool_calls=[("complete_instruction", {})])

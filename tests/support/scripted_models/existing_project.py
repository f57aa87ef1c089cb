"""A small existing package with a failing test, and a scripted model that adds a feature."""

from pathlib import Path

from l2mac.testing.scripted_reply import ScriptedReply, messages_of, tool_names_of

CART = '''"""The cart."""


class Cart:
    """Things with prices."""

    def __init__(self):
        self.items = []

    def add(self, name, price):
        """Put something in."""
        self.items.append((name, price))

    def total(self):
        """Give what all of it costs."""
        return sum(price for _, price in self.items)


def discount(total):
    """Give the discounted price."""
    return round(total * RATE, 2)
'''
TESTS = """from shop.cart import Cart, discount


def test_total():
    cart = Cart()
    cart.add("tea", 3)
    assert cart.total() == 3


def test_discount():
    assert discount(10) == 9
"""
FILES = {
    "README.md": "# Shop\n\nA cart with prices.\n",
    "src/shop/__init__.py": '"""A little shop."""\n',
    "src/shop/cart.py": CART,
    "tests/test_cart.py": TESTS,
    "docs/notes.txt": "Notes.\n",
    "prices.csv": "tea,3\n",
}
COUNT = (
    '    def count(self):\n        """Count the things."""\n'
    "        return len(self.items)\n\n    def total"
)
TEST = (
    'def test_count():\n    cart = Cart()\n    cart.add("tea", 3)\n'
    "    assert cart.count() == 1\n\n\ndef test_total"
)
WRONG = TEST.replace("== 1", "== 7")
FORMS: dict[str, dict[str, object]] = {
    "submit_requirements": {"requirements": ["A cart counts its items."]},
    "submit_plan": {
        "steps": ["Give the class Cart in src/shop/cart.py a method count, and test it."]
    },
    "submit_coverage": {"coverage": [{"requirement": 1, "steps": [1]}]},
    "submit_evidence": {
        "evidence": [
            {
                "requirement": 1,
                "files": ["src/shop/cart.py"],
                "tests": ["tests/test_cart.py::test_count"],
            }
        ],
    },
}


def write(folder: Path) -> Path:
    """Write the package, with a secret and version control's data beside it."""
    for path, text in {
        **FILES,
        ".env": "KEY=secret-of-the-shop\n",
        ".git/config": "[core]\n",
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    return folder


def answer(body: dict[str, object], _: int) -> ScriptedReply:
    """Reply to a request: the script of a `ModelServer`."""
    tools = tool_names_of(body)
    if "ready" in tools:
        return ScriptedReply(tool_calls=[("ready", {})])
    (form,) = tools if len(tools) == 1 else ("",)
    if form in FORMS:
        return ScriptedReply(tool_calls=[(form, FORMS[form])])
    if not tools:
        return ScriptedReply("Carts count.")
    turn = sum(message.role == "assistant" for message in messages_of(body))
    test = "tests/test_cart.py"
    turns: list[list[tuple[str, dict[str, object]]]] = [
        [("view_files", {"files": [{"path": "src/shop/cart.py"}, {"path": test}]})],
        [
            ("edit_file", {"path": "src/shop/cart.py", "old": "    def total", "new": COUNT}),
            ("edit_file", {"path": test, "old": "def test_total", "new": WRONG}),
        ],
        [("complete_instruction", {})],  # refused: a new test fails, and the old one is no excuse
        [("edit_file", {"path": test, "old": "== 7", "new": "== 1"})],
        [("delete_files", {"paths": [test]})],  # attempts to be rid of the failing test
        [("complete_instruction", {})],
        [
            (
                "write_files",
                {"files": [{"path": test, "content": TESTS.replace("def test_total", TEST)}]},
            )
        ],
        [("complete_instruction", {})],
    ]
    return ScriptedReply(f"turn {turn}", tool_calls=turns[min(turn, len(turns) - 1)])

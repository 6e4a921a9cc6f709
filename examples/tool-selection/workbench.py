"""The tools of an engineer's assistant. Here they only say what they would do."""


def search_code(words: str) -> str:
    """Find functions and classes in the source code of the repository."""
    return f"Looked for {words} in the code."


def run_tests(path: str = "tests") -> str:
    """Run the test suite and say which tests fail."""
    return f"All tests of {path} pass."


def rename_symbol(old: str, new: str) -> str:
    """Rename a function, class or variable everywhere in the code."""
    return f"Renamed {old} to {new}."


def query_sales(sql: str) -> str:
    """Answer a question about orders, revenue and customers by SQL on the warehouse's tables."""
    return f"Asked: {sql}"


def plot_chart(columns: list[str]) -> str:
    """Draw a chart of some columns: revenue by month, customers by region."""
    return f"Drew {', '.join(columns)}."


def train_forecast(months: int) -> str:
    """Train a model that forecasts revenue; it takes a GPU for an hour."""
    return f"Trained on {months} months."


def search_web(words: str) -> str:
    """Search the web for pages."""
    return f"Searched for {words}."


def read_page(url: str) -> str:
    """Read a web page at a URL, as text."""
    return f"Read {url}."


def drop_table(table: str) -> str:
    """Delete a table of the warehouse, with all its rows."""
    return f"Dropped {table}."


def ask_person(question: str) -> str:
    """Ask a person of the team."""
    return f"Asked: {question}"

def pytest_addoption(parser) -> None:
    parser.addoption("--bless", action="store_true", help="rewrite the expected texts of tests/diagnostics")

def pytest_addoption(parser) -> None:
    parser.addoption(
        "--bless", action="store_true", help="take the present texts of tests/diagnostics as the expected ones"
    )

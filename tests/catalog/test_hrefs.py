import pytest

from catalog.errors import ItemError
from catalog.providers.hrefs import check_href, host_of, resolve_href, show_href, why_refused
from catalog.providers.source import KNOWN_SOURCES, stac_source

WEB = stac_source("https://stac.example.com/v1")
LOOPBACK = stac_source("http://127.0.0.1:8080/")
LOCAL = stac_source("/data/archive")


@pytest.mark.parametrize(
    "href",
    [
        "https://data.example.org/a/b.tif",
        "http://data.example.org:8080/a/b.tif?sig=x%2Fy",
        "https://8.8.8.8/a.tif",
        "https://[2001:4860:4860::8888]/a.tif",
        "https://10.0.0.7/a.tif",
        "https://data.example.org./a.tif",
        "https://xn--bcher-kva.example/ä ö.tif",
        "s3://usgs-landsat/collection02/a.TIF",
        "gs://gcp-public-data/a.jp2",
        "az://container/a.tif",
        "abfs://container@account.dfs.core.windows.net/a.tif",
        "https://stac.example.com/v1/a.tif",
    ],
)
def test_public_addresses_and_buckets_are_let_through(href):
    assert check_href(href, WEB) == href


@pytest.mark.parametrize(
    "href",
    [
        "file:///etc/passwd",
        "file:/etc/passwd",
        "FILE:///etc/passwd",
        "/etc/passwd",
        "etc/passwd",
        "../../etc/passwd",
        "~/.netrc",
        "C:\\secrets.tif",
        "//data.example.org/a.tif",
        "/vsicurl/http://127.0.0.1/a.tif",
        "/vsizip/a.zip/b.tif",
        "vsicurl/https://data.example.org/a.tif",
        "ftp://data.example.org/a.tif",
        "gopher://data.example.org/a",
        "ee://COPERNICUS/S2/x",
        "data:image/tiff;base64,AAAA",
        "zip+https://data.example.org/a.zip",
        "https:///a.tif",
        "https:a.tif",
        "https://:80/a.tif",
        "https://data.example.org:port/a.tif",
        "https://data.example.org\\@127.0.0.1/a.tif",
        "https://data.example.org/a\n.tif",
        "https://data.example.org/\x00.tif",
        "https://user:secret@data.example.org/a.tif",
        "https://user@data.example.org/a.tif",
        "s3:///key",
        "s3://user@bucket/key",
        "s3://-o/key",
        "https://data.example.org/" + "a" * 5000,
        "https://[::1/a.tif",
        "",
    ],
)
def test_paths_and_other_schemes_of_a_stranger_are_refused(href):
    with pytest.raises(ItemError, match="must point to a public"):
        check_href(href, WEB)


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST",
        "localhost.",
        "a.localhost",
        "localhost.localdomain",
        "127.0.0.1",
        "127.0.0.1.",
        "127.8.9.10",
        "127.1",
        "2130706433",
        "0x7f000001",
        "0x7f.0.0.1",
        "0177.0.0.1",
        "017700000001",
        "0",
        "0.0.0.0",  # noqa: S104 - nobody binds to it
        "0.1.2.3",
        "169.254.169.254",
        "2852039166",
        "169.254.43518",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "999.1.1.1",
        "1.2.3.4.5",
        "[::1]",
        "[::]",
        "[0:0:0:0:0:0:0:1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::ffff:169.254.169.254]",
        "[::127.0.0.1]",
        "[2002:7f00:1::]",
        "[64:ff9b::7f00:1]",
        "[fe80::1]",
        "[fe80::1%25eth0]",
        "[ff02::1]",
        "[fd00:ec2::254]",
        "metadata.google.internal",
        "metadata.google.internal.",
        "100.100.100.200",
        "１２７.0.0.1",
        "127。0。0。1",
        "ⓛocalhost",
        "127.0.0.%31",
        "loc alhost",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_hosts_of_this_machine_are_refused_in_any_spelling(scheme, host):
    with pytest.raises(ItemError):
        check_href(f"{scheme}://{host}/a.tif", WEB)
    with pytest.raises(ItemError):
        check_href(f"{scheme}://{host}:8080/a.tif", WEB)


def test_the_host_that_the_user_named_may_be_this_machine_and_no_other():
    assert check_href("http://127.0.0.1:9/a.tif", LOOPBACK) == "http://127.0.0.1:9/a.tif"
    for other in ("http://localhost:8080/a", "http://127.0.0.2/a", "http://[::1]/a", "/a.tif"):
        with pytest.raises(ItemError):
            check_href(other, LOOPBACK)


@pytest.mark.parametrize(
    "href",
    ["/etc/passwd", "file:///a.tif", "/vsizip/a.zip/b.tif", "a.tif", "http://localhost/a"],
)
def test_a_local_archive_that_the_user_named_may_point_anywhere(href):
    assert check_href(href, LOCAL) == href


def test_no_known_archive_counts_as_local():
    assert not any(source.is_local for source in KNOWN_SOURCES.values())


@pytest.mark.parametrize(
    ("href", "base", "resolved"),
    [
        ("./a/b.tif", "https://example.com/x/item.json", "https://example.com/x/a/b.tif"),
        ("../b.tif", "https://example.com/x/y/item.json", "https://example.com/x/b.tif"),
        ("https://else.org/b.tif", "https://example.com/x", "https://else.org/b.tif"),
        ("s3://bucket/b.tif", "https://example.com/x", "s3://bucket/b.tif"),
        ("/etc/passwd", "https://example.com/x", "/etc/passwd"),
        ("b.tif", "", "b.tif"),
        ("./a/b.tif", "/data/x/item.json", "/data/x/a/b.tif"),
        ("../b#1.tif", "/data/x/item.json", "/data/b#1.tif"),
        ("b.tif", "/data/x/", "/data/x/b.tif"),
        ("/abs/b.tif", "/data/x/item.json", "/abs/b.tif"),
    ],
)
def test_relative_addresses_are_resolved_where_they_are_stated(href, base, resolved):
    assert resolve_href(href, base) == resolved


def test_messages_show_neither_credentials_nor_signatures():
    said = show_href("https://me:hunter2@example.com/a.tif?sig=secret#frag")
    assert said == "'https://example.com/a.tif'"
    assert len(show_href("https://example.com/" + "a" * 5000)) < 130
    with pytest.raises(ItemError) as refused:
        check_href("http://me:hunter2@localhost/a.tif?sig=secret", WEB)
    assert "hunter2" not in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_host_is_lower_case_and_nonsense_has_none():
    assert host_of("HTTPS://Example.COM:443/x") == "example.com"
    assert host_of("http://[::1/x") == ""
    assert host_of("/data/archive") == ""
    assert why_refused("https://example.com/a.tif", "") is None

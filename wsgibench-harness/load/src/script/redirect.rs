//! Targets of redirects (RFC 9110, 15.4).

use std::fmt::Write as _;

use http::{HeaderMap, Method, StatusCode, header};
use url::Url;

/// Name of the check that fails if a redirect cannot be followed.
pub(super) const FOLLOWABLE: &str = "redirect can be followed";
/// Name of the check that fails for a redirect to another site.
const SAME_SITE: &str = "redirect stays on the server";

/// The reason why a redirect is not followed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(super) check: &'static str,
    pub(super) reason: String,
}

/// Returns whether clients follow redirects with this status automatically.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Returns the method of the request that follows.
pub(super) fn method(status: StatusCode, method: &Method) -> Method {
    match status.as_u16() {
        301 | 302 if *method == Method::POST => Method::GET,
        303 if *method != Method::HEAD => Method::GET,
        _ => method.clone(),
    }
}

pub(super) fn too_many() -> Refused {
    refuse("it is one more than follow_redirects(...) allows")
}

/// Returns path and query of the page that a redirect from `page` leads to.
pub(crate) fn target(headers: &HeaderMap, page: Option<Url>) -> Result<String, Refused> {
    let Some(location) = headers.get(header::LOCATION) else {
        return Err(refuse("it has no Location"));
    };
    let Some(page) = page else {
        return Err(refuse("the Host of its request is not a valid host name"));
    };
    let location = as_url(location.as_bytes());
    let target = page
        .join(&location)
        .map_err(|error| refuse(&format!("its Location {location:?} is not a URL ({error})")))?;
    if target.origin() != page.origin() {
        return Err(Refused {
            check: SAME_SITE,
            reason: format!(
                "{location} leaves {}{}",
                page.origin().ascii_serialization(),
                other_scheme(&page, &target)
            ),
        });
    }
    Ok(match target.query() {
        Some(query) => format!("{}?{query}", target.path()),
        None => target.path().to_owned(),
    })
}

/// Returns the remedy for a redirect between plain HTTP and TLS on one host.
fn other_scheme(page: &Url, target: &Url) -> &'static str {
    match (page.scheme(), target.scheme()) {
        ("http", "https") if page.host() == target.host() => {
            "; declare the server at its TLS port with `.tls(...)`, or turn its redirect to https off"
        }
        ("https", "http") if page.host() == target.host() => {
            "; a server behind a TLS proxy has to be told that it is asked over https"
        }
        _ => "",
    }
}

fn refuse(reason: &str) -> Refused {
    Refused {
        check: FOLLOWABLE,
        reason: reason.to_owned(),
    }
}

/// Percent-encodes the bytes of a `Location` that are not allowed in a URL, because servers send raw UTF-8 and Latin-1.
fn as_url(location: &[u8]) -> String {
    let mut url = String::with_capacity(location.len());
    for byte in location.trim_ascii() {
        if byte.is_ascii_graphic() {
            url.push(char::from(*byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(url, "%{byte:02X}");
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn to(location: &[u8]) -> Result<String, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, HeaderValue::from_bytes(location).unwrap());
        target(&headers, Url::parse("http://shop.test/a/b?c=1").ok()).map_err(|refused| refused.reason)
    }

    #[test]
    fn every_form_of_location_is_resolved() {
        for (location, path) in [
            (&b"/caf\xc3\xa9"[..], "/caf%C3%A9"),
            (b"/caf\xe9", "/caf%E9"),
            (b"/a b?q=\xc3\xa9", "/a%20b?q=%C3%A9"),
            (b"next", "/a/next"),
            (b"?c=2", "/a/b?c=2"),
            (b"//shop.test/x", "/x"),
            (b"HTTP://SHOP.TEST:80/x#part", "/x"),
            (b"", "/a/b?c=1"),
        ] {
            assert_eq!(
                to(location).as_deref(),
                Ok(path),
                "{}",
                String::from_utf8_lossy(location)
            );
        }
    }

    #[test]
    fn redirects_that_cannot_be_followed_are_refused_with_a_reason() {
        for (location, reason) in [
            (&b"https://shop.test/x"[..], "leaves http://shop.test"),
            (b"http://other.test/", "leaves http://shop.test"),
            (b"http://[::1/", "is not a URL"),
            (b"mailto:a@b", "leaves"),
        ] {
            let refused = to(location).unwrap_err();
            assert!(refused.contains(reason), "{refused}");
        }
        let refused = target(&HeaderMap::new(), Url::parse("http://a/").ok()).unwrap_err();
        assert_eq!(
            (refused.check, refused.reason.as_str()),
            (FOLLOWABLE, "it has no Location")
        );
    }

    #[test]
    fn method_after_a_redirect_depends_on_the_status() {
        let next = |status: u16, from: Method| method(StatusCode::from_u16(status).unwrap(), &from);
        for (status, from, to) in [
            (301, Method::POST, Method::GET),
            (302, Method::POST, Method::GET),
            (303, Method::POST, Method::GET),
            (307, Method::POST, Method::POST),
            (308, Method::POST, Method::POST),
            (301, Method::PUT, Method::PUT),
            (302, Method::DELETE, Method::DELETE),
            (303, Method::PUT, Method::GET),
            (303, Method::HEAD, Method::HEAD),
            (302, Method::HEAD, Method::HEAD),
        ] {
            assert_eq!(next(status, from.clone()), to, "{status} {from}");
        }
    }
}

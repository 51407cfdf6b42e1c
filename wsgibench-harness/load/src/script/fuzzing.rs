//! Fuzz targets of cookies and redirects.

use http::{HeaderMap, HeaderValue, header};
use url::Url;

use super::{cookies::CookieJar, redirect};

/// The first line of `data` as the path of a page on `http://shop.test`, and the rest.
fn page(data: &[u8]) -> Option<(Url, &[u8])> {
    let end = memchr::memchr(b'\n', data)?;
    let path = std::str::from_utf8(&data[..end]).ok()?;
    let page = Url::parse(&format!("http://shop.test/{path}")).ok()?;
    Some((page, &data[end + 1..]))
}

/// Cookies: the first line of `data` is the path of a page, each further one a `Set-Cookie` of its response.
///
/// # Panics
/// If a cookie leaves its site, is not one that the server has set, or breaks the header it is sent in.
pub fn cookies(data: &[u8]) {
    let Some((page, lines)) = page(data) else {
        return;
    };
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n').take(64) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(header::SET_COOKIE, value);
        }
    }
    let set: Vec<&[u8]> = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .map(HeaderValue::as_bytes)
        .collect();
    let mut jar = CookieJar::default();
    jar.keep(&headers, || Some(page.clone()));

    let elsewhere = Url::parse("http://elsewhere.example/").ok();
    assert_eq!(jar.header(|| elsewhere.clone()), None, "a cookie leaves its site");
    if jar.secure_over_http() {
        let secure = |line: &&[u8]| line.to_ascii_lowercase().windows(6).any(|text| text == b"secure");
        assert!(set.iter().any(secure), "no cookie is Secure");
    }
    let Some(cookie) = jar.header(|| Some(page.clone())) else {
        return;
    };
    let cookie = cookie.as_bytes();
    assert!(!cookie.is_empty());
    assert!(
        !cookie.iter().any(|byte| matches!(byte, b'\r' | b'\n' | b'\0')),
        "{cookie:?}"
    );
    let pairs: Vec<&[u8]> = cookie
        .split(|byte| *byte == b';')
        .map(<[u8]>::trim_ascii_start)
        .collect();
    assert!(pairs.len() <= set.len(), "more cookies sent than set");
    for pair in pairs {
        let equals = memchr::memchr(b'=', pair).expect("a cookie has a value");
        let (name, value) = (&pair[..equals], &pair[equals + 1..]);
        let sets = |line: &&[u8]| {
            memchr::memmem::find(line, name).is_some_and(|at| memchr::memmem::find(&line[at..], value).is_some())
        };
        assert!(set.iter().any(sets), "{} was not set", pair.escape_ascii());
    }
}

/// Redirects: the first line of `data` is the path of a page, the rest the `Location` of its response.
///
/// # Panics
/// If a redirect is followed to another site, or to a path that cannot be requested.
pub fn redirects(data: &[u8]) {
    let Some((page, location)) = page(data) else {
        return;
    };
    let Ok(location) = HeaderValue::from_bytes(location) else {
        return;
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::LOCATION, location.clone());
    let target = match redirect::target(&headers, Some(page.clone())) {
        Ok(target) => target,
        Err(refused) => {
            assert!(!refused.reason.contains(['\r', '\n']), "{}", refused.reason);
            return;
        }
    };
    assert!(target.starts_with('/'), "{target:?}");
    assert!(target.bytes().all(|byte| byte.is_ascii_graphic()), "{target:?}");
    let uri: Result<http::Uri, _> = target.parse();
    let uri = uri.unwrap_or_else(|error| panic!("{target:?} cannot be requested: {error}"));
    assert!(uri.authority().is_none(), "{target:?} has an authority");

    // The page that is requested is the one that the Location names.
    let requested = Url::parse(&format!("http://shop.test{target}")).expect("a URL");
    assert_eq!(requested.origin(), page.origin(), "the redirect leaves the site");
    // A fragment is not requested, and a Location in ASCII is resolved as by `url`.
    if let Ok(text) = location.to_str()
        && text.bytes().all(|byte| byte.is_ascii_graphic())
        && let Ok(mut named) = page.join(text)
    {
        assert_eq!(named.origin(), page.origin(), "{text:?} names another site");
        named.set_fragment(None);
        let _ = named.set_username("");
        let _ = named.set_password(None);
        assert_eq!(requested, named, "{text:?}");
    }
}

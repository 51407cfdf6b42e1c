//! The cookies of a user.

use std::fmt;

use cookie_store::{CookieError, CookieStore, RawCookie};
use http::{HeaderMap, HeaderValue, header};
use url::Url;

use super::super::excerpt::excerpt;

/// First of the private-use characters that represent bytes of a cookie that are not UTF-8, so that they are returned
/// unchanged.
const RAW_BYTES: u32 = 0xF700;

/// Most refused cookies that are listed.
const MOST_REFUSED: usize = 16;

/// Cookies by the rules of browsers (RFC 6265): domain, path, expiry.
///
/// A `Secure` cookie is kept and sent over plain HTTP too, at any address, because TLS usually ends at a proxy in front of
/// the server.
#[derive(Debug, Default)]
pub(crate) struct CookieJar {
    store: CookieStore,
    /// Whether any cookie was set; avoids work for users without cookies.
    used: bool,
    /// Whether a `Secure` cookie was set over plain HTTP.
    secure_over_http: bool,
    /// Cookies that were refused since the last call of [`take_refused`](Self::take_refused).
    refused: Vec<RefusedCookie>,
}

/// A cookie that users refuse because its `Domain` is not the host's, nor a parent of it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RefusedCookie {
    /// Name.
    pub name: String,
    /// Its `Domain` attribute.
    pub domain: String,
    /// Host of the request.
    pub host: String,
    /// Number of times the server set it.
    pub count: u64,
}

impl RefusedCookie {
    /// Adds this one to a list that has each cookie once.
    pub(super) fn join(self, list: &mut Vec<Self>) {
        let same =
            |known: &&mut Self| (&known.name, &known.domain, &known.host) == (&self.name, &self.domain, &self.host);
        let is_full = list.len() >= MOST_REFUSED;
        match list.iter_mut().find(same) {
            Some(known) => known.count += self.count,
            None if is_full => {}
            None => list.push(self),
        }
    }
}

impl fmt::Display for RefusedCookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, domain, host, .. } = self;
        write!(f, "`{name}` (Domain={domain}, host {host})")
    }
}

impl CookieJar {
    /// Keeps the cookies of a response to a request for `url`.
    pub(crate) fn keep(&mut self, headers: &HeaderMap, url: impl FnOnce() -> Option<Url>) {
        if !headers.contains_key(header::SET_COOKIE) {
            return;
        }
        let Some(url) = url() else {
            return;
        };
        let plain = url.scheme() == "http";
        let cookies: Vec<RawCookie<'static>> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .filter_map(|value| RawCookie::parse(to_text(value.as_bytes())).ok())
            .collect();
        self.secure_over_http |= plain && cookies.iter().any(|cookie| cookie.secure() == Some(true));
        let url = secure(url);
        for cookie in cookies {
            // Expired cookies and cookies that cannot be parsed are ignored, as browsers do.
            let Err(CookieError::DomainMismatch) = self.store.insert_raw(&cookie, &url) else {
                continue;
            };
            let refused = RefusedCookie {
                name: excerpt(cookie.name().as_bytes()),
                domain: excerpt(cookie.domain().unwrap_or_default().as_bytes()),
                host: url.host_str().unwrap_or_default().to_owned(),
                count: 1,
            };
            refused.join(&mut self.refused);
        }
        self.used = true;
    }

    /// Returns the `Cookie` header of a request for `url`, if there are cookies for it.
    pub(crate) fn header(&self, url: impl FnOnce() -> Option<Url>) -> Option<HeaderValue> {
        if !self.used {
            return None;
        }
        let mut header = Vec::new();
        for (name, value) in self.store.get_request_values(&secure(url()?)) {
            let pair = to_bytes(&format!("{name}={value}"));
            // Skip only the cookie that cannot be sent.
            if HeaderValue::from_bytes(&pair).is_err() {
                continue;
            }
            if !header.is_empty() {
                header.extend_from_slice(b"; ");
            }
            header.extend_from_slice(&pair);
        }
        HeaderValue::from_bytes(&header)
            .ok()
            .filter(|header| !header.is_empty())
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.store
            .iter_unexpired()
            .find(|cookie| cookie.name() == name)
            .map(|cookie| cookie.value())
    }

    pub(super) fn set(&mut self, name: &str, value: &str, url: &Url) {
        let cookie = RawCookie::new(to_text(name.as_bytes()), to_text(value.as_bytes()));
        self.used |= self.store.insert_raw(&cookie, &secure(url.clone())).is_ok();
    }

    pub(super) fn clear(&mut self) {
        self.store.clear();
        self.used = false;
    }

    /// Returns the cookies that were refused since the last call.
    pub(super) fn take_refused(&mut self) -> Vec<RefusedCookie> {
        std::mem::take(&mut self.refused)
    }

    /// Returns whether a `Secure` cookie was set over plain HTTP.
    pub(super) fn secure_over_http(&self) -> bool {
        self.secure_over_http
    }
}

/// Returns the URL with the scheme https, to which every cookie of the site is sent.
fn secure(mut url: Url) -> Url {
    // A change between special schemes always succeeds.
    let _ = url.set_scheme("https");
    url
}

/// Decodes bytes to a text from which [`to_bytes`] restores them. Each byte that is not UTF-8 becomes a private-use
/// character; such characters in the input are escaped in the same way, byte by byte.
fn to_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let escape = |byte: &u8| char::from_u32(RAW_BYTES + u32::from(*byte));
    for chunk in bytes.utf8_chunks() {
        for character in chunk.valid().chars() {
            if raw_byte(character).is_some() {
                text.extend(character.encode_utf8(&mut [0; 4]).as_bytes().iter().filter_map(escape));
            } else {
                text.push(character);
            }
        }
        text.extend(chunk.invalid().iter().filter_map(escape));
    }
    text
}

/// Returns the byte that a private-use character represents.
fn raw_byte(character: char) -> Option<u8> {
    let byte = u8::try_from(u32::from(character).checked_sub(RAW_BYTES)?).ok()?;
    (byte >= 0x80).then_some(byte)
}

/// Returns the bytes of a text from [`to_text`].
fn to_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    for character in text.chars() {
        match raw_byte(character) {
            Some(byte) => bytes.push(byte),
            None => bytes.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(set: &[&[u8]], url: &str) -> Option<Vec<u8>> {
        let url = Url::parse(url).unwrap();
        let mut headers = HeaderMap::new();
        for value in set {
            headers.append(header::SET_COOKIE, HeaderValue::from_bytes(value).unwrap());
        }
        let mut jar = CookieJar::default();
        jar.keep(&headers, || Some(url.clone()));
        jar.header(|| Some(url)).map(|header| header.as_bytes().to_vec())
    }

    #[test]
    fn secure_cookies_are_sent_over_plain_http_at_every_address() {
        for url in [
            "http://127.0.0.1:8000/",
            "http://172.17.0.2:8000/",
            "http://shop.test/",
            "http://[fd00::2]:80/",
        ] {
            let cookie = sent(&[b"session=s1; Path=/; Secure; HttpOnly"], url);
            assert_eq!(cookie.as_deref(), Some(&b"session=s1"[..]), "{url}");
        }
    }

    #[test]
    fn attributes_decide_what_is_sent_as_in_browsers() {
        let at = |set: &[u8]| sent(&[b"a=1; Path=/", set], "http://shop.test/x/y").unwrap_or_default();
        for gone in [
            "a=; Max-Age=0; Path=/",
            "a=; Max-Age=-1; Path=/",
            "a=; max-age=0; Expires=Fri, 31 Dec 9999 23:59:59 GMT; Path=/",
            "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Path=/",
            "a=; expires=Thu, 01-Jan-1970 00:00:01 GMT; Path=/",
            "a=; expires=Thu, 01-Jan-70 00:00:01 GMT; Path=/",
            "a=; Expires=Thu Jan  1 00:00:00 1970; Path=/",
        ] {
            assert_eq!(at(gone.as_bytes()), b"", "{gone}");
        }
        for replaced in [
            "a=2; Path=/; Max-Age=99999999999999999999",
            "a=2; Path=/; Max-Age=9223372036854775807",
            "a=2; Path=/; Max-Age=soon",
            "a=2; Path=/; Max-Age=\"60\"",
            "a=2; Path=/; Expires=0",
            "a=2; Path=/; Expires=Fri, 31 Dec 9999 23:59:59 GMT",
            "a=2; Path=/; Expires=Fri, 31 Dec 99999 23:59:59 GMT",
            "a=2;Path=/;HttpOnly;SameSite=Lax;Partitioned;Priority=High",
            " a = 2 ;  PATH = / ",
        ] {
            assert_eq!(at(replaced.as_bytes()), b"a=2", "{replaced}");
        }
        for both in [
            "b=2",
            "b=2; Path=/x",
            "b=2; Path=",
            "b=2; Path=x/y",
            "b=2; Domain=shop.test",
            "b=2; Domain=.shop.test",
            "b=2; Domain=SHOP.TEST; Path=/x",
            "b=2; Domain=",
        ] {
            let sent = at(both.as_bytes());
            assert!(sent == b"a=1; b=2" || sent == b"b=2; a=1", "{both}: {sent:?}");
        }
        for other in ["b=2; Path=/other", "b=2; Path=/x/y/z", "b=2; Domain=other.test"] {
            assert_eq!(at(other.as_bytes()), b"a=1", "{other}");
        }
        let at_address = sent(&[b"a=1; Domain=127.0.0.1"], "http://127.0.0.1:8000/");
        assert_eq!(at_address.as_deref(), Some(&b"a=1"[..]));
    }

    #[test]
    fn cookies_of_another_domain_are_refused_and_counted() {
        let refused = |domain: &str, url: &str| {
            let mut headers = HeaderMap::new();
            for cookie in [
                "a=1; Path=/",
                &format!("b=2; Domain={domain}"),
                &format!("b=3; Domain={domain}"),
            ] {
                headers.append(header::SET_COOKIE, HeaderValue::from_str(cookie).unwrap());
            }
            let mut jar = CookieJar::default();
            jar.keep(&headers, || Url::parse(url).ok());
            let refused = jar.take_refused();
            assert!(jar.take_refused().is_empty());
            let sent = jar.header(|| Url::parse(url).ok()).unwrap();
            assert_eq!(
                sent.to_str().unwrap().contains("b=3"),
                refused.is_empty(),
                "{domain} {url}"
            );
            refused.iter().map(|cookie| (cookie.to_string(), cookie.count)).next()
        };
        for (domain, url, host) in [
            ("other.test", "http://shop.test/", "shop.test"),
            ("www.shop.test", "http://shop.test/", "shop.test"),
            ("op.test", "http://shop.test/", "shop.test"),
            ("shop.test", "http://127.0.0.1:8000/", "127.0.0.1"),
            ("0.0.1", "http://127.0.0.1:8000/", "127.0.0.1"),
            ("shop.test", "http://[::1]:8000/", "[::1]"),
        ] {
            let expected = (format!("`b` (Domain={domain}, host {host})"), 2);
            assert_eq!(refused(domain, url), Some(expected), "{domain} {url}");
        }
        for (domain, url) in [
            ("shop.test", "http://www.shop.test/"),
            (".SHOP.test", "http://shop.test/"),
            ("127.0.0.1", "http://127.0.0.1:8000/"),
            ("", "http://127.0.0.1/"),
        ] {
            assert_eq!(refused(domain, url), None, "{domain} {url}");
        }
    }

    #[test]
    fn cookies_are_returned_byte_for_byte() {
        let url = "http://127.0.0.1:8000/";
        for value in [
            &b"a=Z\xc3\xbcrich"[..],
            b"a=Z\xfcrich",
            b"a=\xff\xfe\x80",
            "a=\u{f780}x\u{f7ff}\u{f700}".as_bytes(),
            b"a=\"q\"",
            b"a=",
        ] {
            assert_eq!(sent(&[value], url).as_deref(), Some(value), "{value:?}");
        }
        let both = sent(&[b"s=1; Path=/", b"town=Z\xc3\xbcrich; Path=/; Comment=\xff"], url).unwrap();
        assert!(
            both == b"s=1; town=Z\xc3\xbcrich" || both == b"town=Z\xc3\xbcrich; s=1",
            "{both:?}"
        );
    }
}

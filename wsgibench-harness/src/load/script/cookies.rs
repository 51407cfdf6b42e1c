//! The cookies of a user.

use cookie_store::{CookieStore, RawCookie};
use http::{HeaderMap, HeaderValue, header};
use url::Url;

/// Cookies by the rules of browsers (RFC 6265): domain, path, expiry, secure.
#[derive(Debug, Default)]
pub(super) struct CookieJar {
    store: CookieStore,
    /// Most users never get a cookie: they pay nothing.
    used: bool,
}

impl CookieJar {
    /// Keeps what an answer sets.
    pub(super) fn keep(&mut self, headers: &HeaderMap, url: impl FnOnce() -> Option<Url>) {
        if !headers.contains_key(header::SET_COOKIE) {
            return;
        }
        let Some(url) = url() else {
            return;
        };
        let cookies = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .filter_map(|value| RawCookie::parse(value.to_str().ok()?.to_owned()).ok());
        self.store.store_response_cookies(cookies, &url);
        self.used = true;
    }

    /// The header for a request, if there are cookies for it.
    pub(super) fn header(&self, url: impl FnOnce() -> Option<Url>) -> Option<HeaderValue> {
        if !self.used {
            return None;
        }
        let pairs: Vec<String> = self
            .store
            .get_request_values(&url()?)
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        HeaderValue::from_str(&pairs.join("; "))
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
        let cookie = RawCookie::new(name.to_owned(), value.to_owned());
        self.used |= self.store.insert_raw(&cookie, url).is_ok();
    }

    pub(super) fn clear(&mut self) {
        self.store.clear();
        self.used = false;
    }
}

//! The request builder of scripts.

use std::{
    future::{Future, IntoFuture},
    pin::Pin,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use hyper::body::Body;
use rand::Rng;
use serde::Serialize;

use super::{
    body::{BoxError, Payload},
    exchange,
    multipart::Multipart,
    request_error::RequestError,
    response::{Response, Streaming},
    user::User,
};

/// A request that is sent when awaited.
///
/// ```
/// # use wsgibench_harness::load::script::User;
/// # async fn example(user: &mut User) -> anyhow::Result<()> {
/// user.post("/items")
///     .header("x-trace", "1")
///     .json(&["a", "b"])
///     .await?
///     .expect_status(201)?;
/// # Ok(())
/// # }
/// ```
#[must_use = "a request is sent by awaiting it"]
#[derive(Debug)]
pub struct RequestBuilder<'u> {
    pub(super) user: &'u mut User,
    pub(super) order: RequestSpec,
}

/// The contents of a request.
#[derive(Debug)]
pub(super) struct RequestSpec {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
    /// Number of redirects left to follow; `None`: redirects are returned like other responses.
    pub(super) redirects: Option<u32>,
    pub(super) timeout: Option<Duration>,
    /// The first error of the builder, reported when the request is awaited.
    pub(super) mistake: Option<String>,
}

impl<'u> RequestBuilder<'u> {
    pub(super) fn new(user: &'u mut User, method: Method, path: &str) -> Self {
        let order = RequestSpec {
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            payload: Payload::Whole(Bytes::new()),
            redirects: None,
            timeout: None,
            mistake: None,
        };
        Self { user, order }
    }

    /// Adds a header. A `Host` determines the site for cookies and redirects.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        match (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                self.order.headers.append(name, value);
            }
            _ => self.mistake(format!("`{name}: {value}` is not a valid header")),
        }
        self
    }

    /// Sends these bytes.
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.order.payload = Payload::Whole(bytes.into());
        self
    }

    /// Sends a value as JSON.
    pub fn json(mut self, value: &impl Serialize) -> Self {
        match serde_json::to_vec(value) {
            Ok(bytes) => self.typed("application/json", bytes),
            Err(error) => {
                self.mistake(format!("failed to serialize the body as JSON: {error}"));
                self
            }
        }
    }

    /// Sends a form, `application/x-www-form-urlencoded`.
    pub fn form(mut self, fields: &impl Serialize) -> Self {
        match serde_urlencoded::to_string(fields) {
            Ok(text) => self.typed("application/x-www-form-urlencoded", text),
            Err(error) => {
                self.mistake(format!("failed to serialize the body as a form: {error}"));
                self
            }
        }
    }

    /// Sends a form with files.
    pub fn multipart(self, form: &Multipart) -> Self {
        let random = self.user.rng();
        let (content_type, body) = form.encode(|| random.next_u64());
        self.typed(&content_type, body)
    }

    /// Sends chunks that are produced while they are sent: `length` bytes in total, or with chunked coding for `None`.
    pub fn body_chunks<I>(mut self, pieces: I, length: Option<u64>) -> Self
    where
        I: IntoIterator<Item = Bytes>,
        I::IntoIter: Send + 'static,
    {
        self.order.payload = Payload::body_chunks(pieces.into_iter(), length);
        self
    }

    /// Streams a body of the `http-body` crate.
    pub fn stream_body<B>(mut self, body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.order.payload = Payload::stream(body);
        self
    }

    /// Follows up to `at_most` redirects on the same site; each counts as a request. 301 and 302 change a POST to a GET,
    /// 303 changes every method except HEAD, 307 and 308 repeat the request with its body.
    ///
    /// A redirect that cannot be followed (to another site, without a valid `Location`, above the limit, or with a streamed
    /// body to repeat) is a failed check.
    pub fn follow_redirects(mut self, at_most: u32) -> Self {
        self.order.redirects = Some(at_most);
        self
    }

    /// Sets the timeout of this request, instead of the load's.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.order.timeout = Some(timeout);
        self
    }

    /// Sends the request and returns the response as soon as its head has arrived; the body is read in chunks.
    ///
    /// # Errors
    /// Returns an error if the request fails; it has been counted.
    pub async fn stream(self) -> Result<Streaming, RequestError> {
        exchange::stream(self.user, self.order).await
    }

    fn typed(mut self, content_type: &str, bytes: impl Into<Bytes>) -> Self {
        self.order.payload = Payload::Whole(bytes.into());
        match HeaderValue::try_from(content_type) {
            Ok(value) => {
                self.order.headers.insert(header::CONTENT_TYPE, value);
            }
            Err(_) => self.mistake(format!("`{content_type}` is not a valid content type")),
        }
        self
    }

    fn mistake(&mut self, what: String) {
        self.order.mistake.get_or_insert(what);
    }
}

impl<'u> IntoFuture for RequestBuilder<'u> {
    type Output = Result<Response, RequestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + 'u>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(exchange::whole(self.user, self.order))
    }
}

//! A request and its answer on the wire.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::{
    super::{plan::KeepAlive, result::ErrorKind},
    accounting::RequestOutcome,
    body::{Outgoing, Payload},
    connection::Link,
    request::RequestSpec,
    request_error::RequestError,
    response::{Response, Streaming},
    user::User,
    worker_state::WorkerState,
};

/// The name under which requests that cannot be sent are counted.
const BAD_REQUEST: &str = "the script made a request that cannot be sent";

/// A request that is not counted yet. Whatever happens to it, it is counted when this is dropped at the latest.
#[derive(Debug)]
pub(super) struct Ticket {
    state: Arc<WorkerState>,
    key: Option<usize>,
    status: u16,
}

impl Ticket {
    fn new(user: &User) -> Self {
        let state = Arc::clone(&user.state);
        let now = state.clock.now();
        let key = state.accounting().asks(user.place, user.step, now);
        Self {
            state,
            key: Some(key),
            status: 0,
        }
    }

    fn sends(&self) {
        if let Some(key) = self.key {
            let now = self.state.clock.now();
            self.state.accounting().sends(key, now);
        }
    }

    pub(super) fn is_answered(&mut self, status: StatusCode) {
        self.status = status.as_u16();
        if let Some(key) = self.key {
            let now = self.state.clock.now();
            self.state.accounting().is_answered(key, self.status, now);
        }
    }

    /// The script is content with the status.
    pub(super) fn passes(&self) {
        if let Some(key) = self.key {
            self.state.accounting().passes(key);
        }
    }

    pub(super) fn fails(mut self, failure: RequestError) -> RequestError {
        self.judge(match failure.kind() {
            // What is wrong with the script itself, its author must be able to read.
            ErrorKind::Script => RequestOutcome::Check(ErrorKind::Script, BAD_REQUEST.into(), failure.to_string()),
            kind => RequestOutcome::Failed(kind),
        });
        failure
    }

    pub(super) fn fails_check(mut self, kind: ErrorKind, name: String, sample: String) -> RequestError {
        let failure = RequestError::new(kind, format!("check `{name}` failed: {sample}"));
        self.judge(RequestOutcome::Check(kind, name, sample));
        failure
    }

    pub(super) fn times_out(mut self, after: Duration) -> RequestError {
        if let Some(key) = self.key.take() {
            let now = self.state.clock.now();
            self.state.accounting().times_out(key, now);
        }
        let text = format!("no whole answer within {} s", after.as_secs_f64());
        RequestError::new(ErrorKind::ResponseTimeout, text)
    }

    fn judge(&mut self, verdict: RequestOutcome) {
        if let Some(key) = self.key.take() {
            let now = self.state.clock.now();
            self.state.accounting().is_judged(key, verdict, now);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let now = self.state.clock.now();
            self.state.accounting().is_dropped(key, self.status, now);
        }
    }
}

/// Sends and reads the whole answer.
pub(super) async fn whole(user: &mut User, order: RequestSpec) -> Result<Response, RequestError> {
    let after = order.timeout.unwrap_or(user.state.plan.load.timeout);
    let (mut ticket, response, deadline) = follow(user, order, after).await?;
    let (head, body) = response.into_parts();
    match timeout_at(deadline, collect(body)).await {
        Ok(Ok(body)) => {
            ticket.is_answered(head.status);
            Ok(Response::new(head, body, ticket))
        }
        Ok(Err(error)) => {
            user.link = None;
            Err(ticket.fails(RequestError::talking(&error)))
        }
        Err(_) => {
            user.link = None;
            Err(ticket.times_out(after))
        }
    }
}

/// Sends and gives the answer with its body still to come.
pub(super) async fn stream(user: &mut User, order: RequestSpec) -> Result<Streaming, RequestError> {
    let after = order.timeout.unwrap_or(user.state.plan.load.timeout);
    let (ticket, response, _) = follow(user, order, after).await?;
    Ok(Streaming::new(response, ticket, after))
}

/// The answer that remains after redirects.
async fn follow(
    user: &mut User,
    mut order: RequestSpec,
    after: Duration,
) -> Result<(Ticket, http::Response<Incoming>, Instant), RequestError> {
    loop {
        let mut ticket = Ticket::new(user);
        let deadline = Instant::now() + after;
        let (method, headers, path) = (order.method.clone(), order.headers.clone(), order.path.clone());
        let sent = timeout_at(deadline, send(user, order, &ticket)).await;
        let (response, again) = match sent {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(failure)) => {
                user.link = None;
                return Err(ticket.fails(failure));
            }
            Err(_) => {
                user.link = None;
                return Err(ticket.times_out(after));
            }
        };
        let (state, tls) = (&user.state, user.transport.root_certificate.is_some());
        user.cookies.keep(response.headers(), || state.url(tls, &path));
        let next = again.filter(|(left, _)| *left > 0);
        let location = location(&response);
        let (Some((left, payload)), Some(location)) = (next, location) else {
            return Ok((ticket, response, deadline));
        };
        let target = match state
            .url(tls, &path)
            .and_then(|url| Some((url.join(&location).ok()?, url)))
        {
            Some((target, url)) if target.origin() == url.origin() => target,
            _ => {
                user.link = None;
                let name = "redirect stays on the server".into();
                return Err(ticket.fails_check(ErrorKind::CheckFailed, name, location));
            }
        };
        let status = response.status();
        // The body of a redirect belongs to its request.
        match timeout_at(deadline, collect(response.into_body())).await {
            Ok(Ok(_)) => ticket.is_answered(status),
            Ok(Err(error)) => {
                user.link = None;
                return Err(ticket.fails(RequestError::talking(&error)));
            }
            Err(_) => {
                user.link = None;
                return Err(ticket.times_out(after));
            }
        }
        drop(ticket);
        let mut path = target.path().to_owned();
        if let Some(query) = target.query() {
            path = format!("{path}?{query}");
        }
        order = redirected(method, headers, payload, status, path, left - 1, after);
    }
}

/// What a redirect makes of a request (RFC 9110, 15.4): 307 and 308 keep it as it is, the others ask by GET.
fn redirected(
    method: Method,
    mut headers: HeaderMap,
    payload: Payload,
    status: StatusCode,
    path: String,
    redirects: u32,
    timeout: Duration,
) -> RequestSpec {
    let keeps = matches!(status.as_u16(), 307 | 308) || method == Method::HEAD || method == Method::GET;
    if !keeps {
        headers.remove(header::CONTENT_TYPE);
    }
    RequestSpec {
        method: if keeps { method } else { Method::GET },
        path,
        headers,
        payload: if keeps { payload } else { Payload::Whole(Bytes::new()) },
        redirects,
        timeout: Some(timeout),
        mistake: None,
    }
}

fn location(response: &http::Response<Incoming>) -> Option<String> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return None;
    }
    let value = response.headers().get(header::LOCATION)?;
    Some(value.to_str().ok()?.to_owned())
}

type Sent = (http::Response<Incoming>, Option<(u32, Payload)>);

/// Sends on the open connection or on a new one. A connection that the server closed while it was idle is no failure:
/// the request goes out once more. Gives the answer, and what a redirect may send again.
async fn send(user: &mut User, order: RequestSpec, ticket: &Ticket) -> Result<Sent, RequestError> {
    if let Some(mistake) = order.mistake {
        return Err(RequestError::new(ErrorKind::Script, mistake));
    }
    let redirects = order.redirects;
    let mut payload = Some(order.payload);
    let mut retried = false;
    loop {
        let mut reused = true;
        if let Some(link) = &mut user.link
            && !link.ready().await
        {
            user.link = None;
        }
        let last = is_last(user);
        let link = match &mut user.link {
            Some(link) => link,
            empty @ None => {
                reused = false;
                user.used = 0;
                empty.insert(Link::open(&user.state, &user.transport).await?)
            }
        };
        let (body, again) = match payload.take() {
            Some(payload) => payload.outgoing(),
            None => {
                return Err(RequestError::new(
                    ErrorKind::Script,
                    "a streamed body can be sent only once",
                ));
            }
        };
        let http2 = matches!(link, Link::Http2(_));
        let (state, tls) = (&user.state, user.transport.root_certificate.is_some());
        let cookies = user.cookies.header(|| state.url(tls, &order.path));
        let mut request = build(state, http2, &order.method, &order.path, body)?;
        *request.headers_mut() = headers(state, http2, &order.headers, cookies, last && !http2);
        if http2 && tls {
            *request.uri_mut() = secure(request.uri())?;
        }
        ticket.sends();
        user.used += 1;
        match link.send(request).await {
            Ok(response) => {
                if last {
                    // The connection lives until the answer has been read, and no longer.
                    user.link = None;
                }
                let again = again.map(|payload| (redirects, payload));
                // Nothing can be sent again when a stream was the body; a redirect by GET still can.
                let again = again.or(Some((redirects, Payload::Whole(Bytes::new()))));
                return Ok((response, again));
            }
            Err(error) if reused && !retried && again.is_some() && is_stale(&error) => {
                retried = true;
                payload = again;
                user.link = None;
                user.state.accounting().retries();
            }
            Err(error) => return Err(RequestError::talking(&error)),
        }
    }
}

/// Whether the connection had ended before the request was on it.
fn is_stale(error: &hyper::Error) -> bool {
    error.is_canceled() || error.is_closed() || error.is_incomplete_message()
}

/// Whether the connection ends with the next request on it.
fn is_last(user: &User) -> bool {
    let sent = if user.link.is_some() { user.used } else { 0 };
    match user.state.plan.load.keep_alive {
        KeepAlive::Always => false,
        KeepAlive::Never => true,
        KeepAlive::Requests(n) => sent + 1 >= n,
    }
}

fn build(
    state: &WorkerState,
    http2: bool,
    method: &Method,
    path: &str,
    body: Outgoing,
) -> Result<Request<Outgoing>, RequestError> {
    let wrong = |what: &str| RequestError::new(ErrorKind::Script, format!("`{path}` is no path of a server: {what}"));
    if !path.starts_with('/') {
        return Err(wrong("it must begin with `/`"));
    }
    let uri: Uri = if http2 {
        format!("http://{}{path}", state.plan.target.host).parse()
    } else {
        path.parse()
    }
    .map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
    let mut request = Request::new(body);
    *request.method_mut() = method.clone();
    *request.uri_mut() = uri;
    if http2 {
        *request.version_mut() = http::Version::HTTP_2;
    }
    Ok(request)
}

fn secure(uri: &Uri) -> Result<Uri, RequestError> {
    let mut parts = uri.clone().into_parts();
    parts.scheme = Some(http::uri::Scheme::HTTPS);
    Uri::from_parts(parts).map_err(|error| RequestError::new(ErrorKind::Script, error.to_string()))
}

fn headers(state: &WorkerState, http2: bool, own: &HeaderMap, cookies: Option<HeaderValue>, closes: bool) -> HeaderMap {
    let mut headers = own.clone();
    if !http2
        && !headers.contains_key(header::HOST)
        && let Ok(host) = HeaderValue::try_from(state.plan.target.host.as_str())
    {
        headers.insert(header::HOST, host);
    }
    if let Some(cookies) = cookies {
        headers.append(header::COOKIE, cookies);
    }
    if closes {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    headers
}

/// The whole body; not copied when it comes in one piece.
async fn collect(mut body: Incoming) -> Result<Bytes, hyper::Error> {
    let mut first = Bytes::new();
    let mut more: Option<BytesMut> = None;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        match &mut more {
            Some(more) => more.extend_from_slice(&data),
            None if first.is_empty() => first = data,
            None => {
                let mut joined = BytesMut::from(first.as_ref());
                joined.extend_from_slice(&data);
                more = Some(joined);
            }
        }
    }
    Ok(more.map_or(first, BytesMut::freeze))
}

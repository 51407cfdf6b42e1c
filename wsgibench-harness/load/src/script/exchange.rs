//! Sends requests and reads responses.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, header, response::Parts};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::{
    super::{
        plan::{KeepAlive, NextStep},
        result::ErrorKind,
        retry::{self, Ending, Loss},
    },
    accounting::RequestOutcome,
    body::{Outgoing, Payload},
    connection::Link,
    redirect,
    request::RequestSpec,
    request_error::RequestError,
    response::{Response, Streaming},
    response_start::ResponseStart,
    user::User,
    worker_state::WorkerState,
};

/// The name under which requests that cannot be sent are counted.
const BAD_REQUEST: &str = "the script made a request that cannot be sent";

/// A request that is not counted yet. It is counted at the latest when this is dropped.
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

    /// Accepts the status on behalf of the script.
    pub(super) fn passes(&self) {
        if let Some(key) = self.key {
            self.state.accounting().passes(key);
        }
    }

    pub(super) fn fails(mut self, failure: RequestError) -> RequestError {
        self.judge(match failure.kind() {
            // Show errors of the script itself in full.
            ErrorKind::Script => RequestOutcome::Check(ErrorKind::Script, BAD_REQUEST.into(), failure.to_string()),
            kind => RequestOutcome::Failed(kind, failure.explanation().to_owned()),
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
            self.state.accounting().times_out(key, after, now);
        }
        let text = format!("no complete response within {} s", after.as_secs_f64());
        RequestError::new(ErrorKind::ResponseTimeout, text)
    }

    fn judge(&mut self, verdict: RequestOutcome) {
        if let Some(key) = self.key.take() {
            let now = self.state.clock.now();
            self.state.accounting().record_outcome(key, verdict, now);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let now = self.state.clock.now();
            self.state.accounting().record_drop(key, self.status, now);
        }
    }
}

/// Sends a request and reads the whole response.
pub(super) async fn whole(user: &mut User, order: RequestSpec) -> Result<Response, RequestError> {
    let after = order.timeout.unwrap_or(user.state.plan.load.timeout);
    let (mut ticket, response, start, deadline) = follow(user, order, after).await?;
    let (head, body) = response.into_parts();
    match timeout_at(deadline, collect(body)).await {
        Ok(Ok(body)) => {
            if let Some(failure) = surplus(&head, start.as_deref()) {
                user.link = None;
                return Err(ticket.fails(failure));
            }
            ticket.is_answered(head.status);
            Ok(Response::new(head, body, ticket))
        }
        Ok(Err(error)) => {
            user.link = None;
            Err(ticket.fails(RequestError::talking(&error, start.as_deref())))
        }
        Err(_) => {
            user.link = None;
            Err(ticket.times_out(after))
        }
    }
}

/// Sends a request and returns the response before its body.
pub(super) async fn stream(user: &mut User, order: RequestSpec) -> Result<Streaming, RequestError> {
    let after = order.timeout.unwrap_or(user.state.plan.load.timeout);
    let (ticket, response, start, _) = follow(user, order, after).await?;
    Ok(Streaming::new(response, start, ticket, after))
}

/// The final response with its first bytes (`None` over HTTP/2), and its deadline.
type Followed = (Ticket, http::Response<Incoming>, Option<Arc<ResponseStart>>, Instant);

/// Follows redirects and returns the final response.
async fn follow(user: &mut User, mut order: RequestSpec, after: Duration) -> Result<Followed, RequestError> {
    loop {
        if let Some(before) = &user.state.plan.before_request {
            before.wait(NextStep::Request);
        }
        let mut ticket = Ticket::new(user);
        let deadline = Instant::now() + after;
        let (method, headers, path) = (order.method.clone(), order.headers.clone(), order.path.clone());
        let (follows, left) = (order.redirects.is_some(), order.redirects.unwrap_or(0));
        let sent = timeout_at(deadline, send(user, order, &ticket, deadline)).await;
        let Sent { response, again, start } = match sent {
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
        let (state, tls) = (&user.state, user.transport.tls.is_some());
        let page = || state.url(tls, headers.get(header::HOST), &path);
        user.cookies.keep(response.headers(), page);
        state.refuses(user.cookies.take_refused());
        if user.cookies.secure_over_http() {
            state.secure_over_http.store(true, Ordering::Relaxed);
        }
        if !follows || !redirect::is_redirect(response.status()) {
            return Ok((ticket, response, start, deadline));
        }
        let target = redirect::target(response.headers(), page()).and_then(|target| {
            left.checked_sub(1)
                .map(|left| (target, left))
                .ok_or_else(redirect::too_many)
        });
        let (path, left) = match target {
            Ok(target) => target,
            Err(refused) => {
                user.link = None;
                let sample = format!("{}: {}", response.status(), refused.reason);
                return Err(ticket.fails_check(ErrorKind::CheckFailed, refused.check.into(), sample));
            }
        };
        let payload = again;
        let (head, body) = response.into_parts();
        let status = head.status;
        // The body of a redirect belongs to its request.
        match timeout_at(deadline, collect(body)).await {
            Ok(Ok(_)) => {
                if let Some(failure) = surplus(&head, start.as_deref()) {
                    user.link = None;
                    return Err(ticket.fails(failure));
                }
                ticket.is_answered(status);
            }
            Ok(Err(error)) => {
                user.link = None;
                return Err(ticket.fails(RequestError::talking(&error, start.as_deref())));
            }
            Err(_) => {
                user.link = None;
                return Err(ticket.times_out(after));
            }
        }
        let Some(next) = redirected(&method, headers, payload, status, path, left, after) else {
            let sample = format!("{status}: the body was a stream, which cannot be sent again");
            return Err(ticket.fails_check(ErrorKind::CheckFailed, redirect::FOLLOWABLE.into(), sample));
        };
        order = next;
        drop(ticket);
    }
}

/// Returns the request that follows a redirect; `None` if it needs a streamed body again.
fn redirected(
    method: &Method,
    mut headers: HeaderMap,
    payload: Option<Payload>,
    status: StatusCode,
    path: String,
    redirects: u32,
    timeout: Duration,
) -> Option<RequestSpec> {
    let next = redirect::method(status, method);
    let payload = if next == *method {
        payload?
    } else {
        // Remove the headers of the body, too.
        for name in [
            header::CONTENT_TYPE,
            header::CONTENT_LENGTH,
            header::CONTENT_ENCODING,
            header::CONTENT_LANGUAGE,
            header::CONTENT_LOCATION,
            header::TRANSFER_ENCODING,
            header::EXPECT,
        ] {
            headers.remove(name);
        }
        Payload::Whole(Bytes::new())
    };
    Some(RequestSpec {
        method: next,
        path,
        headers,
        payload,
        redirects: Some(redirects),
        timeout: Some(timeout),
        mistake: None,
    })
}

/// The response with its first bytes (`None` over HTTP/2), and the request body if it can be sent again.
struct Sent {
    response: http::Response<Incoming>,
    again: Option<Payload>,
    start: Option<Arc<ResponseStart>>,
}

/// Sends a request on the open connection or a new one, and again on a new one if [`Loss`] allows it. Returns the response
/// and the body that a redirect may send again.
async fn send(
    user: &mut User,
    mut order: RequestSpec,
    ticket: &Ticket,
    deadline: Instant,
) -> Result<Sent, RequestError> {
    if let Some(mistake) = order.mistake.take() {
        return Err(RequestError::new(ErrorKind::Script, mistake));
    }
    let mut payload = Some(std::mem::replace(&mut order.payload, Payload::Whole(Bytes::new())));
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
                empty.insert(Link::open(&user.state, &user.transport, deadline).await?)
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
        let http2 = link.is_http2();
        let (state, tls) = (&user.state, user.transport.tls.is_some());
        let own_host = order.headers.get(header::HOST);
        let cookies = user.cookies.header(|| state.url(tls, own_host, &order.path));
        let mut request = build(state, http2, &order, body)?;
        *request.headers_mut() = headers(state, http2, &order.headers, cookies, last && !http2);
        if http2 && tls {
            *request.uri_mut() = secure(request.uri())?;
        }
        let traffic = Arc::clone(link.traffic());
        let start = link.response_start();
        let framed = link.is_framed();
        let before = traffic.bytes();
        ticket.sends();
        user.used += 1;
        match link.send(request).await {
            Ok(response) => {
                if last {
                    // The connection is closed after the response has been read.
                    user.link = None;
                }
                return Ok(Sent { response, again, start });
            }
            Err(error) => {
                let after = traffic.bytes();
                let ending = traffic.ending();
                let loss = Loss {
                    reused: reused && !retried,
                    // TLS and HTTP/2 send bytes to announce the end of a connection.
                    received_any: after.1 > before.1 && !(framed && ending == Ending::Closed { refused: true }),
                    bytes_left: after.0 > before.0,
                    idempotent: retry::is_idempotent(order.method.as_str()),
                    ending,
                };
                let faults = !user.state.plan.load.faults.is_empty();
                if again.is_none() || !is_connection_lost(&error) || !loss.may_be_sent_again(faults) {
                    return Err(RequestError::talking(&error, start.as_deref()));
                }
                retried = true;
                payload = again;
                user.link = None;
                user.state.accounting().retries();
            }
        }
    }
}

/// Returns whether the connection failed, rather than the response or the script's own body.
fn is_connection_lost(error: &hyper::Error) -> bool {
    !error.is_parse() && !error.is_user()
}

/// Returns whether the next request is the last one on the connection.
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
    order: &RequestSpec,
    body: Outgoing,
) -> Result<Request<Outgoing>, RequestError> {
    let path = order.path.as_str();
    let wrong = |what: &str| RequestError::new(ErrorKind::Script, format!("`{path}` is not a valid path: {what}"));
    if !path.starts_with('/') {
        return Err(wrong("it must begin with `/`"));
    }
    let uri: Uri = if http2 {
        let own_host = order.headers.get(header::HOST).and_then(|host| host.to_str().ok());
        format!("http://{}{path}", own_host.unwrap_or(&state.plan.target.host)).parse()
    } else {
        path.parse()
    }
    .map_err(|error: http::uri::InvalidUri| wrong(&error.to_string()))?;
    let mut request = Request::new(body);
    *request.method_mut() = order.method.clone();
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
    if http2 {
        // HTTP/2 sends the host in the URI.
        headers.remove(header::HOST);
    }
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

/// Returns the error of a complete response with bytes after its declared end, which hyper reports to nobody.
pub(super) fn surplus(head: &Parts, start: Option<&ResponseStart>) -> Option<RequestError> {
    start?.explain_surplus(head).map(RequestError::surplus)
}

/// Reads the whole body; does not copy it if it arrives in one part.
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

//! One file from one mirror, resumed where it was cut. Proxies are those of the environment.

use super::progress::{Event, Progress};
use crate::error::{Error, Result};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use ureq::http::{Response, StatusCode, header};
use ureq::{Agent, Body, Timeout};

/// The longest wait for a name, a connection or the next byte.
const STEP: Duration = Duration::from_secs(5);
/// Requests for one file of one mirror that may fail one after the other without bringing [`PIECE`] more bytes.
const ATTEMPTS: u32 = 3;
/// Bytes that count as progress: they restart the clock and the count of attempts.
const PIECE: u64 = 256 * 1024;
/// Between attempts, times the number of the attempt.
const PAUSE: Duration = Duration::from_millis(300);

/// The mirrors' side of one fetch: a clock over all its files, and the hosts not to be asked again.
pub struct Client {
    patience: Duration,
    since: Instant,
    given_up: BTreeSet<String>,
}

/// What a mirror had to give. Failures to write are errors; these are the mirror's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The part file holds all the mirror has.
    Complete,
    /// The mirror cannot or does not give the file; what came stays in the part file.
    Refused(String),
}

/// Why one request did not bring the file.
enum Failure {
    /// No connection: the host is not asked again.
    Unreachable(String),
    /// The mirror's last word on this file.
    Refused(String),
    /// Worth another attempt.
    Cut(String),
}

impl Client {
    /// A client that gives up when `patience` has passed without a quarter of a MiB received, in all files together.
    pub fn new(patience: Duration) -> Client {
        Client { patience, since: Instant::now(), given_up: BTreeSet::new() }
    }

    /// Appends the file at `url` to `part`, from where `part` ends; at most `limit` bytes in all.
    pub fn download(
        &mut self,
        url: &str,
        part: &Path,
        limit: u64,
        progress: &dyn Progress,
    ) -> Result<Outcome> {
        let host = host(url);
        if self.given_up.contains(&host) {
            return Ok(Outcome::Refused(format!("{host} was given up before")));
        }
        let file = File::options().create(true).truncate(false).read(true).write(true).open(part);
        let mut file = file.map_err(Error::io("write", part))?;
        let mut furthest = file.metadata().map_err(Error::io("read", part))?.len();
        let mut attempt = 0;
        loop {
            let left = self.patience.saturating_sub(self.since.elapsed());
            if left.is_zero() {
                let seconds = self.patience.as_secs();
                return Ok(Outcome::Refused(format!("gave up after {seconds} s without progress")));
            }
            progress.event(Event::Asking { source: url });
            let failure =
                match request(url, &mut file, limit, left, progress).map_err(Error::io("write", part))? {
                    Ok(()) => {
                        self.since = Instant::now();
                        return Ok(Outcome::Complete);
                    }
                    Err(failure) => failure,
                };
            let reason = match failure {
                Failure::Refused(reason) => return Ok(Outcome::Refused(reason)),
                Failure::Unreachable(reason) => {
                    self.given_up.insert(host);
                    return Ok(Outcome::Refused(reason));
                }
                Failure::Cut(reason) => reason,
            };
            attempt += 1;
            // Compared with the furthest ever, or a mirror that starts over each time would be asked for ever.
            let reached = file.metadata().map_err(Error::io("read", part))?.len();
            if reached >= furthest + PIECE {
                (furthest, attempt, self.since) = (reached, 0, Instant::now());
            }
            if attempt == ATTEMPTS {
                self.given_up.insert(host);
                return Ok(Outcome::Refused(format!("{reason}, {ATTEMPTS} times")));
            }
            std::thread::sleep(PAUSE * attempt);
        }
    }
}

/// One request: the outer error is the disk's, the inner one the mirror's.
fn request(
    url: &str,
    part: &mut File,
    limit: u64,
    left: Duration,
    progress: &dyn Progress,
) -> std::io::Result<Result<(), Failure>> {
    let mut have = part.metadata()?.len();
    let mut response = match ask(url, have, left) {
        Ok(response) => response,
        Err(failure) => return Ok(Err(failure)),
    };
    match response.status() {
        StatusCode::PARTIAL_CONTENT if first_byte(&response) == Some(have) => {}
        StatusCode::OK => {
            part.set_len(0)?;
            have = 0;
        }
        // There is nothing after the end of a part that is complete; its checksum decides.
        StatusCode::RANGE_NOT_SATISFIABLE if have > 0 => return Ok(Ok(())),
        StatusCode::PARTIAL_CONTENT => {
            part.set_len(0)?;
            return Ok(Err(Failure::Cut("answered with another part of the file".to_owned())));
        }
        status if status.is_server_error() || [408, 429].contains(&status.as_u16()) => {
            return Ok(Err(Failure::Cut(format!("answered {status}"))));
        }
        status => return Ok(Err(Failure::Refused(format!("answered {status}")))),
    }

    let total = response.body().content_length().map(|rest| have.saturating_add(rest));
    if total.unwrap_or(have) > limit {
        return Ok(Err(Failure::Refused(format!("has more than the {limit} bytes the file may have"))));
    }
    part.seek(SeekFrom::End(0))?;
    let name = url.rsplit('/').next().unwrap_or(url);
    let mut body = response.body_mut().as_reader();
    let mut piece = vec![0; 64 * 1024];
    loop {
        progress.event(Event::Received { file: name, bytes: have, total });
        match body.read(&mut piece) {
            Ok(0) if total.is_some_and(|total| have < total) => {
                return Ok(Err(Failure::Cut(format!("the connection was cut after {have} bytes"))));
            }
            Ok(0) => return Ok(Ok(())),
            Ok(len) => {
                have += len as u64;
                if have > limit {
                    part.set_len(0)?;
                    return Ok(Err(Failure::Refused(format!(
                        "sent more than the {limit} bytes the file may have"
                    ))));
                }
                part.write_all(&piece[..len])?;
            }
            Err(error) => {
                return Ok(Err(Failure::Cut(format!("the connection was cut after {have} bytes ({error})"))));
            }
        }
    }
}

fn ask(url: &str, have: u64, left: Duration) -> Result<Response<Body>, Failure> {
    let step = Some(STEP.min(left));
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        // A transfer that outlasts the patience is cut and, having made progress, resumed.
        .timeout_global(Some(left))
        .timeout_resolve(step)
        .timeout_connect(step)
        .timeout_send_request(step)
        .timeout_recv_response(step)
        .timeout_per_read(step)
        .user_agent(concat!("netdyn/", env!("CARGO_PKG_VERSION")))
        .build()
        .into();
    let mut request = agent.get(url);
    if have > 0 {
        request = request.header(header::RANGE, format!("bytes={have}-"));
    }
    request.call().map_err(|error| match &error {
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect)
        | ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::ConnectProxyFailed(_)
        | ureq::Error::Tls(_)
        | ureq::Error::Rustls(_) => Failure::Unreachable(error.to_string()),
        ureq::Error::Io(io) if !after_connecting(io.kind()) => Failure::Unreachable(error.to_string()),
        ureq::Error::Timeout(_) | ureq::Error::Io(_) | ureq::Error::Protocol(_) => {
            Failure::Cut(error.to_string())
        }
        _ => Failure::Refused(error.to_string()),
    })
}

/// Whether an error of this kind means that the host was there and hung up.
fn after_connecting(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind::*;
    matches!(kind, ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof)
}

/// N of `Content-Range: bytes N-…`.
fn first_byte(response: &Response<Body>) -> Option<u64> {
    let range = response.headers().get(header::CONTENT_RANGE)?.to_str().ok()?;
    range.strip_prefix("bytes ")?.split('-').next()?.trim().parse().ok()
}

/// Host and port of an address.
fn host(url: &str) -> String {
    let after = url.split_once("://").map_or(url, |(_, after)| after);
    after.split('/').next().unwrap_or(after).to_owned()
}

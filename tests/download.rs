//! Downloads from a server of the test's own. Nothing leaves the machine.

use crate::idx::{file, gzip};
use netdyn::Error;
use netdyn::data::cache::Cache;
use netdyn::data::catalog::{Kept, Known, Remote};
use netdyn::data::fetch::fetch;
use netdyn::data::http::{Client, Outcome};
use netdyn::data::{Event, Which};
use sha2::{Digest, Sha256};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tempfile::TempDir;

pub const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];

/// A small data set whose images do not compress, as raw files, as gzipped files, and their checksums.
pub struct Set {
    pub raw: [Vec<u8>; 4],
    packed: [Vec<u8>; 4],
    sums: [String; 4],
    packed_sums: [String; 4],
}

impl Set {
    pub fn new() -> Set {
        let mut state = 1_u32;
        let mut noise = |len: usize| -> Vec<u8> {
            let mut next = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            (0..len).map(|_| next()).collect()
        };
        let raw = [
            file(&[4, 100, 50], &noise(20_000)),
            file(&[4], &[3, 1, 4, 1]),
            file(&[2, 100, 50], &noise(10_000)),
            file(&[2], &[5, 9]),
        ];
        let packed = [0, 1, 2, 3].map(|at: usize| gzip(&raw[at]));
        let sum = |bytes: &Vec<u8>| {
            Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect::<String>()
        };
        let sums = [0, 1, 2, 3].map(|at: usize| sum(&raw[at]));
        let packed_sums = [0, 1, 2, 3].map(|at: usize| sum(&packed[at]));
        Set { raw, packed, sums, packed_sums }
    }

    pub fn known<'a>(&'a self, mirrors: &'a [&'a str], kept: Kept) -> Known<'a> {
        let files = [0, 1, 2, 3].map(|at: usize| match kept {
            Kept::Raw => {
                Remote { name: NAMES[at], kept, bytes: self.raw[at].len() as u64, sha256: &self.sums[at] }
            }
            Kept::Gzip => Remote {
                name: NAMES[at],
                kept,
                bytes: self.packed[at].len() as u64,
                sha256: &self.packed_sums[at],
            },
        });
        Known { name: "toy", mirrors, npm: None, files }
    }

    /// The gzipped file a request asks for.
    fn asked(&self, request: &Request) -> &[u8] {
        let at = NAMES.iter().position(|name| request.path == format!("/{name}.gz")).unwrap();
        &self.packed[at]
    }
}

#[derive(Clone, Debug)]
struct Request {
    path: String,
    from: Option<usize>,
}

/// Serves one connection after the other on a thread that lives as long as the test program.
struct Server {
    url: String,
    requests: Arc<Mutex<Vec<Request>>>,
}

impl Server {
    /// `answer` gets each request and its number, and the connection to write to.
    fn start(answer: impl Fn(&Request, usize, &mut TcpStream) + Send + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = requests.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let mut connection = connection.unwrap();
                let lines: Vec<String> = BufReader::new(&connection)
                    .lines()
                    .map_while(Result::ok)
                    .take_while(|line| !line.is_empty())
                    .map(|line| line.to_lowercase())
                    .collect();
                let Some(path) = lines.first().and_then(|line| line.split(' ').nth(1)) else { continue };
                let range =
                    lines.iter().find_map(|line| line.strip_prefix("range: bytes=")?.strip_suffix('-'));
                let request =
                    Request { path: path.to_owned(), from: range.map(|from| from.parse().unwrap()) };
                seen.lock().unwrap().push(request.clone());
                let number = seen.lock().unwrap().len();
                answer(&request, number, &mut connection);
            }
        });
        Server { url, requests }
    }

    /// A mirror that has everything and resumes.
    fn sound() -> Server {
        let set = Set::new();
        Server::start(move |request, _, to| send(to, set.asked(request), request.from, usize::MAX))
    }

    fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

/// Answers with `body` from an offset, hanging up after `cut` bytes of it.
fn send(to: &mut TcpStream, body: &[u8], from: Option<usize>, cut: usize) {
    let start = from.unwrap_or(0);
    let head = match from {
        _ if start >= body.len() => {
            return status(to, "416 Range Not Satisfiable");
        }
        Some(_) => {
            format!("206 Partial Content\r\nContent-Range: bytes {start}-{}/{}", body.len() - 1, body.len())
        }
        None => "200 OK".to_owned(),
    };
    let rest = &body[start..];
    write!(to, "HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", rest.len()).unwrap();
    // The client may hang up first.
    let _ = to.write_all(&rest[..cut.min(rest.len())]);
}

fn status(to: &mut TcpStream, status: &str) {
    write!(to, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
}

/// An address where nothing listens.
pub fn dead() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/", listener.local_addr().unwrap())
}

pub fn assert_cached(root: &Path, set: &Set) {
    for (name, raw) in NAMES.iter().zip(&set.raw) {
        assert!(fs::read(root.join("toy").join(name)).unwrap() == *raw, "{name}");
    }
    let mut names: Vec<_> =
        fs::read_dir(root.join("toy")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.retain(|name| name != ".lock");
    assert_eq!(names.len(), 4, "{names:?}");
}

#[test]
fn a_mirror_fills_the_cache() {
    let (set, server, root) = (Set::new(), Server::sound(), TempDir::new().unwrap());
    let cache = Cache::at(root.path());
    let mirrors = [server.url.as_str()];
    let events = Mutex::new(Vec::new());
    fetch(&set.known(&mirrors, Kept::Raw), &cache, &|event: Event<'_>| {
        let text = match event {
            Event::Received { file, bytes, total } if Some(bytes) == total => format!("received {file}"),
            Event::Stored { path } => format!("stored {}", path.file_name().unwrap().display()),
            _ => return,
        };
        events.lock().unwrap().push(text);
    })
    .unwrap();
    assert_cached(root.path(), &set);
    let expected: Vec<_> =
        NAMES.iter().flat_map(|name| [format!("received {name}.gz"), format!("stored {name}")]).collect();
    assert_eq!(events.into_inner().unwrap(), expected);

    let split = cache.load(&set.known(&mirrors, Kept::Raw), Which::Test).unwrap();
    assert_eq!((split.len(), split.labels), (2, vec![5, 9]));

    // What is there and right is left alone; what is wrong is brought again.
    fs::write(root.path().join("toy").join(NAMES[3]), "junk").unwrap();
    fetch(&set.known(&mirrors, Kept::Raw), &cache, &()).unwrap();
    fetch(&set.known(&[], Kept::Raw), &cache, &()).unwrap();
    assert_eq!(server.requests().len(), 5);
    assert_cached(root.path(), &set);
}

#[test]
fn a_gzipped_set_is_kept_gzipped() {
    let (set, server, root) = (Set::new(), Server::sound(), TempDir::new().unwrap());
    let (cache, mirrors) = (Cache::at(root.path()), [server.url.as_str()]);
    let known = set.known(&mirrors, Kept::Gzip);
    fetch(&known, &cache, &()).unwrap();
    assert!(root.path().join("toy/t10k-labels-idx1-ubyte.gz").exists());
    assert_eq!(cache.load(&known, Which::Train).unwrap().labels, [3, 1, 4, 1]);
}

#[test]
fn a_cut_connection_is_resumed() {
    let set = Set::new();
    let server = Server::start(move |request, number, to| {
        let cut = if number <= 2 { 5000 } else { usize::MAX };
        send(to, set.asked(request), request.from, cut);
    });
    let (set, root) = (Set::new(), TempDir::new().unwrap());
    fetch(&set.known(&[&server.url], Kept::Raw), &Cache::at(root.path()), &()).unwrap();
    assert_cached(root.path(), &set);
    let from: Vec<_> = server.requests().iter().map(|request| request.from).collect();
    assert_eq!(from, [None, Some(5000), Some(10_000), None, None, None]);
}

#[test]
fn an_earlier_attempt_is_resumed_and_a_wrong_one_started_over() {
    let (set, server, root) = (Set::new(), Server::sound(), TempDir::new().unwrap());
    let folder = root.path().join("toy");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("train-images-idx3-ubyte.gz.part"), &set.packed[0][..1234]).unwrap();
    fs::write(folder.join("train-labels-idx1-ubyte.gz.part"), &set.packed[1]).unwrap();
    fs::write(folder.join("t10k-images-idx3-ubyte.gz.part"), [1; 77]).unwrap();
    fetch(&set.known(&[&server.url], Kept::Raw), &Cache::at(root.path()), &()).unwrap();
    assert_cached(root.path(), &set);
    let from: Vec<_> = server.requests().iter().map(|request| request.from).collect();
    assert_eq!(from, [Some(1234), Some(set.packed[1].len()), Some(77), None, None]);
}

#[test]
fn a_mirror_that_cannot_resume_starts_over() {
    let set = Set::new();
    let server = Server::start(move |request, number, to| {
        send(to, set.asked(request), None, if number == 1 { 5000 } else { usize::MAX });
    });
    let (set, root) = (Set::new(), TempDir::new().unwrap());
    fetch(&set.known(&[&server.url], Kept::Raw), &Cache::at(root.path()), &()).unwrap();
    assert_cached(root.path(), &set);
}

#[test]
fn the_next_mirror_is_asked() {
    let (set, sound) = (Set::new(), Server::sound());
    let missing = Server::start(|_, _, to| status(to, "404 Not Found"));
    let busy = Server::start(|_, _, to| status(to, "503 Service Unavailable"));
    let wrong = Server::start(|_, _, to| send(to, &gzip(&file(&[1], &[1])), None, usize::MAX));
    let endless = Server::start(|_, _, to| send(to, &[0; 100_000], None, usize::MAX));
    let mute = Server::start(|_, _, _| ());
    for (name, first, requests) in [
        ("404", missing, 4),
        ("503", busy, 3),
        ("wrong checksum", wrong, 4),
        ("too long", endless, 4),
        ("mute", mute, 3),
    ] {
        let root = TempDir::new().unwrap();
        fetch(&set.known(&[&first.url, &sound.url], Kept::Raw), &Cache::at(root.path()), &()).unwrap();
        assert_cached(root.path(), &set);
        assert_eq!(first.requests().len(), requests, "{name}");
    }
}

#[test]
fn a_dead_host_is_tried_once_and_named() {
    let (set, sound, root, dead) = (Set::new(), Server::sound(), TempDir::new().unwrap(), dead());
    let failures = Mutex::new(Vec::new());
    let start = Instant::now();
    fetch(&set.known(&[&dead, &sound.url], Kept::Raw), &Cache::at(root.path()), &|event: Event<'_>| {
        if let Event::Failed { reason, .. } = event {
            failures.lock().unwrap().push(reason.to_owned());
        }
    })
    .unwrap();
    assert_cached(root.path(), &set);
    let failures = failures.into_inner().unwrap();
    assert!(failures[0].contains("refused"), "{failures:?}");
    assert!(failures[1..].iter().all(|reason| reason.ends_with("was given up before")), "{failures:?}");
    assert!(start.elapsed().as_secs() < 5);

    let empty = TempDir::new().unwrap();
    let error = fetch(&set.known(&[&dead], Kept::Raw), &Cache::at(empty.path()), &()).unwrap_err();
    assert!(matches!(error, Error::File { .. }) && error.to_string().contains("--data DIR"), "{error}");
}

#[test]
fn a_mirror_that_trickles_is_left_in_time() {
    let slow = Server::start(|_, _, to| {
        write!(to, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n").unwrap();
        while to.write_all(&[0]).is_ok() {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    let (root, start) = (TempDir::new().unwrap(), Instant::now());
    let part = root.path().join("part");
    let outcome = Client::new(Duration::from_secs(1)).download(&slow.url, &part, 1000, &()).unwrap();
    assert!(
        matches!(&outcome, Outcome::Refused(reason) if reason.contains("1 s without progress")),
        "{outcome:?}"
    );
    assert!(start.elapsed() < Duration::from_secs(3));
    // What came is kept for the next attempt.
    assert!(part.metadata().unwrap().len() > 0);
}

#[test]
fn many_at_once_leave_a_sound_cache() {
    let (set, server, root) = (Set::new(), Server::sound(), TempDir::new().unwrap());
    let mirrors = [server.url.as_str()];
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| fetch(&set.known(&mirrors, Kept::Raw), &Cache::at(root.path()), &()).unwrap());
        }
    });
    assert_cached(root.path(), &set);
    assert_eq!(server.requests().len(), 4);
}

//! A server under measurement: a child process on a core of its own, and what the kernel says about it.
//!
//! A server is any program whose first line on stdout is `listening on http://ADDRESS:PORT`.

use rustix::process::{Pid, Resource, Rlimit, Signal};
use rustix::thread::CpuSet;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How a server is started.
#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    /// The program's file name, as the tables show it.
    pub(crate) name: String,
    words: Vec<String>,
}

impl Recipe {
    /// Reads a command line, its words split at white space; `bare` is this program's own bare loop.
    pub(crate) fn parse(line: &str) -> io::Result<Self> {
        if line.trim() == "bare" {
            let own = std::env::current_exe()?.to_string_lossy().into_owned();
            let words = [own.as_str(), "bare", "--listen", "127.0.0.1:0"]
                .map(str::to_owned)
                .to_vec();
            return Ok(Self {
                name: "bare".to_owned(),
                words,
            });
        }
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let program = words
            .first()
            .ok_or_else(|| io::Error::other("the server's command line is empty"))?;
        let name = Path::new(program)
            .file_name()
            .map_or(program.clone(), |name| name.to_string_lossy().into_owned());
        Ok(Self { name, words })
    }

    /// Starts the server on `core` and waits until it says where it listens.
    pub(crate) fn start(&self, core: usize) -> io::Result<Server> {
        self.start_as(&[], &[core])
    }

    /// The same on several cores.
    pub(crate) fn start_on(&self, cores: &[usize]) -> io::Result<Server> {
        self.start_as(&[], cores)
    }

    /// The same at the lowest priority, so that what it does costs others on that core little.
    pub(crate) fn start_aside(&self, core: usize) -> io::Result<Server> {
        self.start_as(&["--aside"], &[core])
    }

    fn start_as(&self, flags: &[&str], cores: &[usize]) -> io::Result<Server> {
        let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
        let mut child = Command::new(std::env::current_exe()?)
            .arg("pinned")
            .args(flags)
            .args([&cores.join(","), "--"])
            .args(&self.words)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take();
        let mut server = Server {
            child,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let line = first_line(stdout.ok_or_else(|| io::Error::other("server has no stdout"))?)?;
        server.address = parse_listening(&line).ok_or_else(|| {
            io::Error::other(format!(
                "`{}` begins with {line:?}, not `listening on`",
                self.name
            ))
        })?;
        Ok(server)
    }
}

/// Waits for the first line; a thread goes on reading so that the server never blocks on its stdout.
fn first_line(stdout: impl Read + Send + 'static) -> io::Result<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // Only the first line has a reader.
            let _ = sender.send(line);
        }
    });
    receiver
        .recv_timeout(START_TIMEOUT)
        .map_err(|error| io::Error::other(format!("server does not say where it listens: {error}")))
}

fn parse_listening(line: &str) -> Option<SocketAddr> {
    let (_, address) = line.split_once("listening on http://")?;
    address
        .split_whitespace()
        .next()?
        .trim_end_matches('/')
        .parse()
        .ok()
}

/// A running server; stopped at the latest when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Server {
    /// CPU time of all its threads so far.
    pub(crate) fn cpu_time(&self) -> io::Result<CpuTime> {
        CpuTime::of(&self.child.id().to_string())
    }

    /// What of its memory is resident.
    pub(crate) fn memory(&self) -> io::Result<Memory> {
        Ok(Memory {
            rss_bytes: self.status_bytes("VmRSS:")?,
            anonymous_bytes: self.status_bytes("RssAnon:")?,
        })
    }

    fn status_bytes(&self, field: &str) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        status_bytes(&status, field).ok_or_else(|| {
            io::Error::other(format!(
                "/proc/PID/status has no {field}, the server may have ended"
            ))
        })
    }

    /// Forgets the highest resident memory so far: `peak_rss_bytes` begins anew.
    pub(crate) fn reset_peak(&self) -> io::Result<()> {
        // 5 resets VmHWM to the present VmRSS (proc_pid_clear_refs(5)).
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5")
    }

    /// The most that was resident since `reset_peak` (`VmHWM`); the kernel keeps it, so no peak is too short for it.
    pub(crate) fn peak_rss_bytes(&self) -> io::Result<u64> {
        self.status_bytes("VmHWM:")
    }

    /// How many file descriptors it holds.
    pub(crate) fn descriptors(&self) -> io::Result<usize> {
        Ok(fs::read_dir(format!("/proc/{}/fd", self.child.id()))?.count())
    }

    /// Its own count of deliveries and writes, or `None` when it does not count.
    pub(crate) fn counters(&self) -> io::Result<Option<Counters>> {
        Ok(Counters::parse(&self.page("/metrics")?))
    }

    /// One figure of its metrics, summed over all labels.
    pub(crate) fn metric(&self, name: &str) -> io::Result<u64> {
        sum_of(&self.page("/metrics")?, name)
            .ok_or_else(|| io::Error::other(format!("the server does not count {name}")))
    }

    /// What it says it holds, or `None` when it does not say.
    pub(crate) fn stats(&self) -> io::Result<Option<Stats>> {
        Ok(Stats::parse(&self.page("/api/stats")?))
    }

    /// The whole answer to a GET, its head included.
    fn page(&self, path: &str) -> io::Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n",
            self.address
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Asks it to end and waits; an error when it had ended before, which is a crash.
    pub(crate) fn stop(mut self) -> io::Result<()> {
        if let Some(status) = self.child.try_wait()? {
            return Err(io::Error::other(format!("server ended during the run: {status}")));
        }
        rustix::process::kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while self.child.try_wait()?.is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both fail only when the process has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Resident memory of a process.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Memory {
    /// All of it (`VmRSS`).
    pub(crate) rss_bytes: u64,
    /// Heap and stacks, without the program's text (`RssAnon`).
    pub(crate) anonymous_bytes: u64,
}

fn status_bytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim()
        .strip_suffix(" kB")?
        .trim()
        .parse::<u64>()
        .ok()
        .map(|kib| kib << 10)
}

/// What a server counts itself, summed over all labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counters {
    pub(crate) deliveries: u64,
    pub(crate) writes: u64,
}

impl Counters {
    fn parse(page: &str) -> Option<Self> {
        let deliveries = sum_of(page, "fanfare_deliveries_total")?;
        let writes = sum_of(page, "fanfare_writes_total")?;
        Some(Self { deliveries, writes })
    }

    /// Writes per delivery since `earlier`, or `None` when there were no deliveries.
    pub(crate) fn writes_per_delivery(&self, earlier: &Self) -> Option<f64> {
        let deliveries = self.deliveries.saturating_sub(earlier.deliveries);
        let writes = self.writes.saturating_sub(earlier.writes);
        (deliveries > 0).then(|| writes as f64 / deliveries as f64)
    }
}

/// What a server says it holds (`GET /api/stats`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stats {
    pub(crate) connections: u64,
    pub(crate) topics: u64,
}

impl Stats {
    fn parse(page: &str) -> Option<Self> {
        let (_, body) = page.split_once("\r\n\r\n")?;
        serde_json::from_str(body).ok()
    }
}

/// Sums the samples of one metric in a page of the Prometheus text format.
fn sum_of(page: &str, metric: &str) -> Option<u64> {
    let values = page.lines().filter_map(|line| {
        let rest = line.strip_prefix(metric)?;
        let value = match rest.strip_prefix('{') {
            Some(labelled) => labelled.rsplit_once('}')?.1,
            None if rest.starts_with(' ') => rest,
            None => return None,
        };
        value.split_whitespace().next()?.parse::<f64>().ok()
    });
    values.fold(None, |sum, value| Some(sum.unwrap_or(0) + value as u64))
}

/// What the threads of a process got from the scheduler, and what they did not.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct CpuTime {
    /// On a core.
    pub(crate) run_ns: u64,
    /// Ready to run while something else had the core.
    pub(crate) wait_ns: u64,
}

impl CpuTime {
    /// Of this process so far.
    pub(crate) fn own() -> io::Result<Self> {
        Self::of("self")
    }

    fn of(process: &str) -> io::Result<Self> {
        let mut sum = Self::default();
        for task in fs::read_dir(format!("/proc/{process}/task"))? {
            // A thread that ends between the listing and the reading has no file any more.
            let line = fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
            let mut fields = line
                .split_whitespace()
                .map(|field| field.parse::<u64>().unwrap_or(0));
            sum.run_ns += fields.next().unwrap_or(0);
            sum.wait_ns += fields.next().unwrap_or(0);
        }
        Ok(sum)
    }

    /// What came since `earlier`; threads that ended in between are left out.
    pub(crate) fn since(self, earlier: Self) -> Self {
        Self {
            run_ns: self.run_ns.saturating_sub(earlier.run_ns),
            wait_ns: self.wait_ns.saturating_sub(earlier.wait_ns),
        }
    }
}

/// Moves this thread, and those it starts later, to one core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    pin_to(&[core])
}

fn pin_to(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|error| io::Error::other(format!("cores {cores:?} are not to be had: {error}")))
}

/// Raises this process's limit of open files as far as it may go, and returns it.
pub(crate) fn raise_descriptor_limit() -> io::Result<u64> {
    let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
    rustix::process::setrlimit(
        Resource::Nofile,
        Rlimit {
            current: maximum,
            maximum,
        },
    )?;
    Ok(maximum.unwrap_or(u64::MAX))
}

/// Raises the limit as far as it may go; an error when that is less than `needed`.
pub(crate) fn require_descriptors(needed: u64) -> io::Result<()> {
    let available = raise_descriptor_limit()?;
    if needed <= available {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{needed} descriptors are needed, the limit is {available}: raise the hard limit (`ulimit -Hn`)"
    )))
}

/// Becomes `command`, on these cores, with the highest limit of open files, ending with its parent; aside is at the lowest
/// priority.
pub(crate) fn exec_pinned(cores: &[usize], is_aside: bool, command: &[String]) -> io::Result<()> {
    pin_to(cores)?;
    if is_aside {
        rustix::process::nice(LOWEST_PRIORITY)?;
    }
    raise_descriptor_limit()?;
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?;
    let (program, arguments) = command
        .split_first()
        .ok_or_else(|| io::Error::other("no command to run"))?;
    let error = Command::new(program).args(arguments).exec();
    Err(io::Error::new(
        error.kind(),
        format!("`{program}` does not start: {error}"),
    ))
}

/// As `nice(1)` counts.
pub(crate) const LOWEST_PRIORITY: i32 = 19;

const START_TIMEOUT: Duration = Duration::from_secs(10);
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listening_line_gives_the_address() {
        let address = Some(SocketAddr::from(([127, 0, 0, 1], 8080)));
        assert_eq!(parse_listening("listening on http://127.0.0.1:8080"), address);
        assert_eq!(
            parse_listening("fanfare: listening on http://127.0.0.1:8080/ (development)"),
            address
        );
        assert_eq!(parse_listening("starting"), None);
    }

    #[test]
    fn counters_are_summed_over_labels() {
        let page = "HTTP/1.1 200 OK\r\n\r\n# TYPE fanfare_writes_total counter\n\
            fanfare_writes_total{shard=\"0\"} 10\nfanfare_writes_total{shard=\"1\",a=\"}\"} 5 1700000000\n\
            fanfare_writes_total_bytes 7\nfanfare_deliveries_total 30\n";
        let counters = Counters::parse(page).unwrap();
        assert_eq!(
            counters,
            Counters {
                deliveries: 30,
                writes: 15
            }
        );
        let earlier = Counters {
            deliveries: 10,
            writes: 5,
        };
        assert_eq!(counters.writes_per_delivery(&earlier), Some(0.5));
        assert_eq!(counters.writes_per_delivery(&counters), None);
    }

    #[test]
    fn a_server_without_counters_has_none() {
        assert_eq!(Counters::parse("HTTP/1.1 404 Not Found\r\n\r\n"), None);
    }

    #[test]
    fn stats_are_read_from_among_others() {
        let page = "HTTP/1.1 200 OK\r\n\r\n{\"shards\":1,\"connections\":7,\"topics\":3,\"writes\":9}";
        let stats = Stats {
            connections: 7,
            topics: 3,
        };
        assert_eq!(Stats::parse(page), Some(stats));
        assert_eq!(Stats::parse("HTTP/1.1 404 Not Found\r\n\r\n"), None);
    }

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\tfanfare\nVmRSS:\t    1024 kB\nRssAnon:\t     512 kB\n";
        assert_eq!(status_bytes(status, "VmRSS:"), Some(1 << 20));
        assert_eq!(status_bytes(status, "RssFile:"), None);
    }

    #[test]
    fn own_cpu_time_grows() {
        let before = CpuTime::own().unwrap();
        let deadline = Instant::now() + Duration::from_millis(50);
        while Instant::now() < deadline {
            std::hint::spin_loop();
        }
        assert!(CpuTime::own().unwrap().since(before).run_ns > 1_000_000);
    }
}

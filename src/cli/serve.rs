//! `serve`: from a configuration to a running server, and what a newcomer is told meanwhile.
//!
//! Invariant: the words `listens on http` come only when connections are accepted there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::path::Path;

use crate::app::services::Live;
use crate::base::clock::Clock;
use crate::cli::arguments::ServeArguments;
use crate::cli::url::DEFAULT_URL;
use crate::cli::{Exit, Failure, configuration, output};
use crate::config::{Auth, AuthMode, Config, Faults};
use crate::os::process;
use crate::protocol::tls::pair::Pair;
use crate::runtime::logging::Logging;
use crate::runtime::manager::{self, Given};
use crate::runtime::reload::Reader;
use crate::runtime::server::{Outcome, Server};
use crate::runtime::tls::{self, own_certificate};

/// Serves until a signal ends it.
pub(super) fn run(asked: ServeArguments) -> Result<Exit, Failure> {
    // First of all: sockets are passed on by number, and variables taken while there is one thread.
    let given = manager::take().map_err(|fault| Failure::Misuse(fault.to_string()))?;
    let path = asked.config.clone();
    let (asked, written) = instead_of_addresses(asked, &given);
    let loaded = configuration::load(asked)?;
    let log = &loaded.config.log;
    let logging = Logging::start(log.level, log.file.as_deref())
        .map_err(|error| Failure::Failed(format!("cannot start the log: {error}")))?;
    panic::set_hook(Box::new(log_panic));
    for warning in &loaded.warnings {
        log::warn!(
            "config_warning variable={} problem=\"{}\"",
            warning.variable,
            warning.problem
        );
    }
    tell_of_manager(&given, written);
    // What is left of a run whose keeper was killed comes to us, to be killed.
    if let Err(error) = process::become_subreaper() {
        log::warn!("no_subreaper problem=\"{error}\"");
    }
    let signing = signing(&loaded.config.auth, path.as_deref());
    let again = loaded.again;
    let reader = Box::new(move |current: &Config| again.read(current));
    let ended = serve(loaded.config, signing.as_deref(), reader, &logging, given);
    logging.finish();
    ended
}

/// Sockets that were passed on are as if their addresses were written in the command line, so that
/// all rules for addresses hold for them. Returns also the addresses that they replace.
fn instead_of_addresses(
    asked: ServeArguments,
    given: &Given,
) -> (ServeArguments, Option<Vec<SocketAddr>>) {
    let passed = given.addresses();
    if passed.is_empty() {
        return (asked, None);
    }
    // What is wrong with it is told when it is read with the other addresses.
    let written = configuration::load(asked.clone()).ok();
    let written = written.map(|loaded| loaded.config.server.listen);
    (asked.listening_on(&passed), written)
}

/// Says what the service manager gave us, and where that is not what the configuration says.
fn tell_of_manager(given: &Given, written: Option<Vec<SocketAddr>>) {
    for warning in &given.warnings {
        log::warn!("manager_ignored problem={warning:?}");
    }
    for socket in &given.sockets {
        log::info!(
            "socket_passed address={} name={:?}",
            socket.address,
            socket.name
        );
    }
    let passed = given.addresses();
    if let Some(written) = written.filter(|written| *written != passed) {
        log::warn!(
            "listen_replaced written={written:?} passed={passed:?} hint=\"let server.listen and \
             ListenStream= in the socket unit agree\""
        );
    }
}

fn serve(
    config: Config,
    signing: Option<&str>,
    reader: Reader,
    logging: &Logging,
    given: Given,
) -> Result<Exit, Failure> {
    let access = Access::of(&config);
    let runs = access.runs(config.insecure_runs);
    let keys = config.auth.api_keys.iter();
    let admin_keys: Vec<String> = keys
        .filter(|key| key.grants.is_none())
        .map(|key| key.name.clone())
        .collect();
    let misuse = |faults: Faults| Failure::Misuse(faults.to_string());
    let mut live = Live::of(config).map_err(misuse)?;
    live.tls = tls::acceptor(&live.config, None, Clock::start().now().wall).map_err(misuse)?;
    let secure = live
        .tls
        .as_deref()
        .map(|tls| Secure::of(tls.pair(), &live.config));
    let log = (logging.counters(), logging.recent());
    let server = Server::start(live, reader, log, given)
        .map_err(|fault| Failure::Failed(fault.to_string()))?;
    for address in server.addresses() {
        log::info!(
            "listening address={address} version={}",
            env!("CARGO_PKG_VERSION")
        );
    }
    for name in admin_keys {
        log::warn!("admin_key name={name:?} meaning=\"it has no grants and may do everything\"");
    }
    for danger in access.danger().into_iter().chain(runs) {
        log::warn!("insecure meaning=\"{danger}\"");
    }
    // Nobody may be listening to us; the server serves all the same.
    let access = (access, runs);
    let _ = greeting(server.addresses(), access, signing, secure.as_ref())
        .iter()
        .try_for_each(|line| output::line(line));
    // A panic that gets this far was logged by the hook; it must not skip the end of the log.
    match panic::catch_unwind(AssertUnwindSafe(|| server.run(Some(logging)))) {
        Ok(Ok(Outcome::Drained)) => Ok(Exit::Done),
        Ok(Ok(Outcome::Cut)) => Ok(Exit::Cut),
        Ok(Err(error)) => Err(Failure::Failed(format!("the server failed: {error}"))),
        Err(_) => Err(Failure::Failed(
            "the server panicked; see its log".to_owned(),
        )),
    }
}

/// Who can reach the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    /// Whoever has a credential.
    Token,
    /// Programs on this machine.
    Machine,
    /// Other machines, at the addresses listened on or the hosts allowed.
    Network,
    /// As [`Access::Network`], but the address is not known and no host was allowed.
    NetworkWithoutHost,
}

impl Access {
    fn of(config: &Config) -> Self {
        if config.auth.mode == AuthMode::Token {
            return Self::Token;
        }
        let server = &config.server;
        let mut addresses = server
            .listen
            .iter()
            .map(|address| address.ip().to_canonical());
        if addresses.clone().all(|ip| ip.is_loopback()) {
            Self::Machine
        } else if addresses.any(|ip| ip.is_unspecified()) && server.allowed_hosts.is_empty() {
            Self::NetworkWithoutHost
        } else {
            Self::Network
        }
    }

    const fn mode(self) -> &'static str {
        match self {
            Self::Token => "mode: token, whoever connects shows a token or an API key",
            Self::Machine => {
                "mode: open, anyone on this machine may read and publish; other machines cannot \
                 connect"
            }
            Self::Network | Self::NetworkWithoutHost => {
                "mode: OPEN TO THE NETWORK (--insecure), anyone who can reach this address may \
                 read and publish"
            }
        }
    }

    /// What the log warns of.
    const fn danger(self) -> Option<&'static str> {
        match self {
            Self::Token | Self::Machine => None,
            Self::Network | Self::NetworkWithoutHost => {
                Some("anyone who can reach this server may read and publish")
            }
        }
    }

    /// Who can run agents without having been allowed to.
    const fn runs(self, insecure_runs: bool) -> Option<&'static str> {
        match (self, insecure_runs) {
            (Self::Token, _) | (Self::Network | Self::NetworkWithoutHost, false) => None,
            (Self::Machine, _) => Some("every local user can run agents as kinglet's user"),
            (Self::Network | Self::NetworkWithoutHost, true) => {
                Some("anyone who can reach this server can run agents as kinglet's user")
            }
        }
    }
}

/// The command that signs tokens for this server, if it has a secret to sign with.
fn signing(auth: &Auth, config: Option<&Path>) -> Option<String> {
    auth.keys.iter().find(|key| key.algorithm.is_hmac())?;
    let option = config.map(|path| output::shell_word(&path.display().to_string()));
    let option = option.map(|path| format!(" --config {path}"));
    Some(format!("kinglet token{}", option.unwrap_or_default()))
}

/// What is said when the server listens at `addresses`; `runs` is who can run agents though nobody
/// allowed it, `signing` a command that makes tokens.
fn greeting(
    addresses: &[SocketAddr],
    (access, runs): (Access, Option<&str>),
    signing: Option<&str>,
    secure: Option<&Secure>,
) -> Vec<String> {
    let version = env!("CARGO_PKG_VERSION");
    let scheme = if secure.is_some() { "https" } else { "http" };
    let mut lines: Vec<String> = addresses
        .iter()
        .map(|address| format!("kinglet {version} listens on {scheme}://{address}"))
        .collect();
    lines.push(access.mode().to_owned());
    lines.extend(runs.map(|who| format!("warning: {who}")));
    lines.extend(secure.map(Secure::line));
    if access == Access::NetworkWithoutHost {
        let hint = "hosts: other machines are answered once server.allowed_hosts (or \
                    KINGLET_SERVER__ALLOWED_HOSTS) holds the name or address they connect to";
        lines.push(hint.to_owned());
    }
    if let Some(address) = addresses.first() {
        let address = reachable(*address);
        let url = match secure {
            Some(secure) => secure.url(address),
            None => format!("http://{address}"),
        };
        let mut option = if url == DEFAULT_URL {
            String::new()
        } else {
            format!(" --url {url}")
        };
        let mut trust = String::new();
        if let Some(own) = secure.and_then(|secure| secure.own.as_deref()) {
            option.push_str(&format!(" --ca {own}"));
            trust = format!(" --cacert {own}");
        }
        let (token, header) = match (access, signing) {
            (Access::Token, Some(signing)) => (
                format!("KINGLET_TOKEN=$({signing} --user me) "),
                format!(" -H \"Authorization: Bearer $({signing} --user me --role admin)\""),
            ),
            // Whoever signs has to be asked.
            (Access::Token, None) => (
                "KINGLET_TOKEN=TOKEN ".to_owned(),
                " -H \"Authorization: Bearer TOKEN\"".to_owned(),
            ),
            (Access::Machine | Access::Network | Access::NetworkWithoutHost, _) => {
                Default::default()
            }
        };
        lines.push(format!("watch: {token}kinglet subscribe global{option}"));
        lines.push(format!(
            "try: curl{trust} {url}/api/v1/publish{header} -d '{{\"room\":\"global\",\"event\":\"hello\",\
             \"data\":{{}}}}'"
        ));
    }
    lines
}

/// What there is to say of a server that speaks TLS.
#[derive(Debug)]
struct Secure {
    fingerprint: String,
    /// The file to trust, spelt for a shell, if nobody else vouches for the certificate.
    own: Option<String>,
    /// A name that the certificate is for, if we know of one; the address may be none.
    name: Option<String>,
    pair: Pair,
}

impl Secure {
    fn of(pair: &Pair, config: &Config) -> Self {
        let own = config.server.tls.self_signed.then(|| {
            let path = own_certificate(config);
            output::shell_word(&path.display().to_string())
        });
        let hosts = config.server.allowed_hosts.iter().map(String::as_str);
        let name = hosts.chain(["localhost"]).find(|name| pair.is_for(name));
        Self {
            fingerprint: pair.fingerprint(),
            own,
            name: name.map(str::to_owned),
            pair: pair.clone(),
        }
    }

    fn line(&self) -> String {
        let kind = match self.own {
            Some(_) => "self-signed, for development; ",
            None => "",
        };
        format!(
            "certificate: {kind}SHA-256 fingerprint {}",
            self.fingerprint
        )
    }

    /// A URL at which a client accepts the certificate.
    fn url(&self, address: SocketAddr) -> String {
        if self.pair.is_for(&address.ip().to_string()) {
            return format!("https://{address}");
        }
        let name = self.name.as_deref().unwrap_or("NAME");
        format!("https://{name}:{}", address.port())
    }
}

/// An address that this machine can connect to; a wildcard is none.
pub(super) fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// One line in the log instead of several on standard error.
fn log_panic(panic: &PanicHookInfo<'_>) {
    let payload = panic.payload();
    let message = payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("");
    match panic.location() {
        Some(location) => log::error!("panic location={location} message=\"{message}\""),
        None => log::error!("panic location=unknown message=\"{message}\""),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn greets_with_lines_that_work_as_they_stand() {
        let check = |address: &str, expected: &[&str]| {
            let lines = greeting(
                &[address.parse().unwrap()],
                (Access::Machine, None),
                None,
                None,
            );
            let starts: Vec<&str> = lines.iter().map(String::as_str).collect();
            assert_eq!(starts.len(), expected.len() + 1);
            assert!(starts[1].starts_with("mode: open, "));
            let rest = starts.iter().take(1).chain(starts.iter().skip(2));
            for (line, expected) in rest.zip(expected) {
                assert!(line.starts_with(expected), "{line}");
            }
        };
        let version = env!("CARGO_PKG_VERSION");
        check(
            "127.0.0.1:8080",
            &[
                &format!("kinglet {version} listens on http://127.0.0.1:8080"),
                "watch: kinglet subscribe global",
                "try: curl http://127.0.0.1:8080/api/v1/publish -d '{\"room\":\"global\",",
            ],
        );
        check(
            "[::]:9000",
            &[
                &format!("kinglet {version} listens on http://[::]:9000"),
                "watch: kinglet subscribe global --url http://[::1]:9000",
                "try: curl http://[::1]:9000/api/v1/publish -d '",
            ],
        );
        check(
            "0.0.0.0:8080",
            &[
                &format!("kinglet {version} listens on http://0.0.0.0:8080"),
                "watch: kinglet subscribe global",
                "try: curl http://127.0.0.1:8080/",
            ],
        );
    }

    #[test]
    fn without_a_secret_the_token_is_left_to_whoever_signs() {
        let lines = greeting(
            &["127.0.0.1:8080".parse().unwrap()],
            (Access::Token, None),
            None,
            None,
        );
        assert_eq!(
            lines[2],
            "watch: KINGLET_TOKEN=TOKEN kinglet subscribe global"
        );
        assert!(lines[3].contains(" -H \"Authorization: Bearer TOKEN\" "));
        assert_eq!(signing(&Auth::default(), None), None);
    }

    #[test]
    fn says_who_can_reach_it() {
        let check = |listen: &[&str], hosts: &[&str], expected: Access| {
            let mut config = Config::default();
            config.server.listen = listen.iter().map(|text| text.parse().unwrap()).collect();
            config.server.allowed_hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            assert_eq!(Access::of(&config), expected, "{listen:?}");
        };
        check(&["127.0.0.1:1", "[::1]:1"], &[], Access::Machine);
        check(&["[::ffff:127.0.0.1]:1"], &[], Access::Machine);
        check(&["127.0.0.1:1", "192.0.2.1:1"], &[], Access::Network);
        check(&["0.0.0.0:1"], &[], Access::NetworkWithoutHost);
        check(&["[::]:1"], &["pi.local"], Access::Network);
    }

    #[test]
    fn warns_of_who_can_run_agents() {
        let check = |access: Access, insecure_runs, expected: Option<&str>| {
            let found = access.runs(insecure_runs);
            assert_eq!(found.and_then(|who| who.split(" can run").next()), expected);
            let lines = greeting(&[], (access, found), None, None);
            let warning = lines.iter().find_map(|line| line.strip_prefix("warning: "));
            assert_eq!(warning, found);
        };
        check(Access::Token, false, None);
        check(Access::Machine, false, Some("every local user"));
        check(Access::Network, false, None);
        check(
            Access::Network,
            true,
            Some("anyone who can reach this server"),
        );
        check(
            Access::NetworkWithoutHost,
            true,
            Some("anyone who can reach this server"),
        );
    }
}

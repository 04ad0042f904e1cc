//! The flags of the Claude CLI, as far as a server uses them.

/// What was asked for.
#[derive(Debug, Default)]
pub struct Arguments {
    /// `--resume`: the session to go on with.
    pub resume: Option<String>,
    /// `--input-format stream-json`: the conversation goes on while it runs.
    pub interactive: bool,
    /// `--permission-prompt-tool stdio`: permission is asked on standard output.
    pub asks: bool,
    /// `--model`.
    pub model: Option<String>,
    /// `--permission-mode`.
    pub mode: Option<String>,
    /// `--version`.
    pub version: bool,
}

/// Flags without a value that change nothing here.
const SWITCHES: [&str; 5] = [
    "-p",
    "--print",
    "--verbose",
    "--dangerously-skip-permissions",
    "--strict-mcp-config",
];

/// Flags with a value that changes nothing here.
const SETTINGS: [&str; 6] = [
    "--allowed-tools",
    "--disallowed-tools",
    "--mcp-config",
    "--append-system-prompt",
    "--fallback-model",
    "--add-dir",
];

impl Arguments {
    /// Reads the arguments; a value stands behind `=` or is the next argument.
    pub fn parse(given: &[String]) -> Result<Self, String> {
        let mut arguments = Self::default();
        let (mut prints, mut output) = (false, String::new());
        let mut rest = given.iter();
        while let Some(argument) = rest.next() {
            let (flag, joined) = match argument.split_once('=') {
                Some((flag, value)) => (flag, Some(value.to_owned())),
                None => (argument.as_str(), None),
            };
            if SWITCHES.contains(&flag) && joined.is_none() {
                prints |= flag == "-p" || flag == "--print";
                continue;
            }
            if flag == "--version" {
                arguments.version = true;
                continue;
            }
            let mut value = || {
                let next = joined.clone().or_else(|| rest.next().cloned());
                next.ok_or_else(|| format!("option '{flag}' argument missing"))
            };
            match flag {
                "--resume" => arguments.resume = Some(value()?),
                "--model" => arguments.model = Some(value()?),
                "--permission-mode" => arguments.mode = Some(mode(value()?)?),
                "--output-format" => output = value()?,
                "--input-format" => arguments.interactive = value()? == "stream-json",
                "--permission-prompt-tool" => arguments.asks = value()? == "stdio",
                flag if SETTINGS.contains(&flag) => {
                    value()?;
                }
                _ => return Err(format!("unknown option '{argument}'")),
            }
        }
        let prints = prints && output == "stream-json";
        if !prints && !arguments.version {
            return Err("the stand-in needs -p and --output-format stream-json".to_owned());
        }
        Ok(arguments)
    }
}

fn mode(mode: String) -> Result<String, String> {
    let modes = [
        "acceptEdits",
        "auto",
        "bypassPermissions",
        "default",
        "dontAsk",
        "plan",
    ];
    match modes.contains(&mode.as_str()) {
        true => Ok(mode),
        false => Err(format!(
            "option '--permission-mode <mode>' argument '{mode}' is invalid"
        )),
    }
}

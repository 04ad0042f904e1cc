//! `runs`: what runs and what ran, newest first.

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::cli::arguments::RunsArguments;
use crate::cli::http_client::Connection;
use crate::cli::server::Server;
use crate::cli::transport::TransportFault;
use crate::cli::{Exit, Failure, output};

/// Letters of a prompt that are shown.
const PROMPT_LETTERS: usize = 60;

/// Lists the runs of one project, or of all.
pub(super) fn run(asked: RunsArguments) -> Result<Exit, Failure> {
    let server = Server::new(asked.server)?;
    let mut connection = Connection::open(&server)?;
    let mut get = |path: &str| -> Result<String, Failure> {
        let answer = connection.ask(&server, "GET", path, b"")?;
        match answer.status {
            200 => Ok(answer.body),
            _ => Err(answer.refusal().into()),
        }
    };
    let projects = match asked.project {
        Some(id) => vec![read::<Project>(&get(&format!("/api/v1/projects/{id}"))?)?],
        None => read::<Projects>(&get("/api/v1/projects")?)?.projects,
    };
    for project in projects {
        let limit = asked.limit;
        let body = get(&format!(
            "/api/v1/projects/{}/runs?limit={limit}",
            project.id
        ))?;
        for run in read::<Runs<'_>>(&body)?.runs {
            match asked.json {
                true => output::line(&output::one_line(run.get()))?,
                false => output::line(&shown(&read(run.get())?, &project.path))?,
            }
        }
    }
    Ok(Exit::Done)
}

#[derive(Deserialize)]
struct Projects {
    projects: Vec<Project>,
}

#[derive(Deserialize)]
struct Project {
    id: String,
    path: String,
}

#[derive(Deserialize)]
struct Runs<'a> {
    #[serde(borrow)]
    runs: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
struct Run {
    id: String,
    agent: String,
    state: String,
    position: Option<u64>,
    prompt: String,
    created_at: String,
    exit_code: Option<i64>,
}

fn read<'a, T: Deserialize<'a>>(body: &'a str) -> Result<T, Failure> {
    let strange = |_| TransportFault::NotKinglet("the answer lists no runs");
    Ok(serde_json::from_str(body).map_err(strange)?)
}

/// One run as one line of columns.
fn shown(run: &Run, path: &str) -> String {
    let state = match (run.position, run.exit_code) {
        (Some(position), _) => format!("{} {position}", run.state),
        (None, Some(code)) if code != 0 => format!("{} {code}", run.state),
        (None, _) => run.state.clone(),
    };
    let one_line = |c: char| if c.is_control() { ' ' } else { c };
    let mut prompt: String = run
        .prompt
        .chars()
        .take(PROMPT_LETTERS)
        .map(one_line)
        .collect();
    if run.prompt.chars().nth(PROMPT_LETTERS).is_some() {
        prompt.push('…');
    }
    let (id, created, agent) = (&run.id, &run.created_at, &run.agent);
    format!("{id}  {created}  {state:<12} {agent:<10} {path}  {prompt}")
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_one_line_whatever_its_prompt() {
        let run = Run {
            id: "7".to_owned(),
            agent: "claude".to_owned(),
            state: "failed".to_owned(),
            position: None,
            prompt: format!("a\nb\x1b[2J{}", "x".repeat(99)),
            created_at: "now".to_owned(),
            exit_code: Some(3),
        };
        let line = shown(&run, "/srv/a");
        assert!(!line.contains(char::is_control), "{line:?}");
        assert!(
            line.starts_with("7  now  failed 3     claude     /srv/a  a b "),
            "{line}"
        );
        assert!(line.ends_with('…'), "{line}");
    }
}

// The HTTP API, as whoever has the token.

const PATIENCE_MS = 15000;

/** Why a request was not answered as hoped; status 0 means that nothing answered. */
export class Refusal extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** What to tell people. */
  get explanation() {
    switch (this.status) {
      case 0:
        return "The server cannot be reached; trying again.";
      case 403:
        return `You may not see this: ${this.message}.`;
      case 404:
        return this.code === "NOT_FOUND"
          ? "The server has nothing here: it is gone, or this version does not have it."
          : `${this.message}.`;
      case 503:
        return `The server cannot tell right now: ${this.message}.`;
      default:
        return `${this.message}.`;
    }
  }
}

/** Makes requests to the server that the page came from. */
export class Api {
  token = "";
  /** Called with the reason when a credential is refused. */
  onUnauthorized = () => {};

  get(path, signal) {
    return this.call("GET", path, undefined, signal);
  }

  post(path, body, signal) {
    return this.call("POST", path, body, signal);
  }

  /** Answers with the JSON of the body; throws a `Refusal`. */
  async call(method, path, body, signal) {
    const headers = this.token === "" ? {} : { authorization: `Bearer ${this.token}` };
    const limit = AbortSignal.timeout(PATIENCE_MS);
    const asked = this.token;
    let status = 0;
    let answer;
    try {
      const response = await fetch(new URL(path, document.baseURI), {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
        cache: "no-store",
        credentials: "omit",
        redirect: "error",
      });
      status = response.status;
      const text = await response.text();
      answer = text === "" ? undefined : JSON.parse(text);
      if (response.ok) return answer;
    } catch {
      throw new Refusal(status, "UNREACHABLE", "what answered is no kinglet");
    }
    // An unhealthy server says how it is with 503, which is an answer.
    if (answer?.error === undefined && answer?.status !== undefined) return answer;
    const { code = "UNKNOWN", message = `status ${status}` } = answer?.error ?? {};
    if (status === 401 && asked === this.token) this.onUnauthorized(message);
    throw new Refusal(status, code, message);
  }
}

/** A path whose segments are encoded. */
export function path(...segments) {
  return ["api/v1", ...segments.map(encodeURIComponent)].join("/");
}

// Tokens that a server in token mode takes.

import { createHmac } from "node:crypto";

/** What signs them. */
export const SECRET = "of the tests, and long enough for HS256";

/** The settings of a server that takes them. */
export const TOKENS = { KINGLET_AUTH__MODE: "token", JWT_SECRET_KEY: SECRET };

/** A token that ends so many seconds from now. */
export function sign(user: string, seconds: number, role = "admin"): string {
  const spell = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const exp = Math.floor(Date.now() / 1000) + seconds;
  const signed = `${spell({ alg: "HS256" })}.${spell({ sub: user, exp, role })}`;
  return `${signed}.${createHmac("sha256", SECRET).update(signed).digest("base64url")}`;
}

import type { IncomingMessage, ServerResponse } from 'node:http'

/** A text answer as Go's `http.Error` gives it: trailing newline, nosniff. */
export function answerError(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status
  response.setHeader('Content-Type', 'text/plain; charset=utf-8')
  response.setHeader('X-Content-Type-Options', 'nosniff')
  response.end(`${text}\n`)
}

/** 405 with the methods that would do, unless the request's method is one of them. @returns whether it answered */
export function refusesMethod(
  request: IncomingMessage,
  response: ServerResponse,
  allowed: readonly string[],
): boolean {
  if (allowed.includes(request.method ?? '')) return false
  response.setHeader('Allow', allowed.join(','))
  answerError(response, 405, 'Method Not Allowed')
  return true
}

export function answerNotFound(response: ServerResponse): void {
  answerError(response, 404, '404 page not found')
}

/** 200 with a body whose content type is the given one. */
export function answer(response: ServerResponse, contentType: string, body: string): void {
  response.statusCode = 200
  response.setHeader('Content-Type', contentType)
  response.end(body)
}

/** What is answered for when a target is no URL: a path that nobody serves. */
const NO_TARGET = 'http://member/%'

/** Path and query of a request target; an absolute-form target loses its authority. */
export function targetOf(request: IncomingMessage): URL {
  const target = request.url ?? '/'
  // By itself a path that begins with two slashes would be an authority.
  const url = target.startsWith('/') ? `http://member${target}` : target
  return new URL(URL.canParse(url, 'http://member') ? url : NO_TARGET, 'http://member')
}

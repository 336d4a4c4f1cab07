import type { IncomingMessage, ServerResponse } from 'node:http'

/** A text answer as Go's `http.Error` gives it: trailing newline, nosniff. */
export function answerError(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, {
    'Content-Type': 'text/plain; charset=utf-8',
    'X-Content-Type-Options': 'nosniff',
  })
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
  response.writeHead(200, { 'Content-Type': contentType })
  response.end(body)
}

/** Path and query of a request target; an absolute-form target loses its authority. */
export function targetOf(request: IncomingMessage): URL {
  return new URL(request.url ?? '/', 'http://member')
}

import { once } from 'node:events'
import { type RequestListener, type Server, createServer } from 'node:http'
import type { TestContext } from 'node:test'

/** A server on a port of the loopback interface, until the test ends. @returns its URL */
export async function serve(context: TestContext, handle: RequestListener): Promise<string> {
  const server = createServer(handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  context.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return urlOf(server)
}

function urlOf(server: Server): string {
  const address = server.address()
  return typeof address === 'object' && address !== null ? `http://127.0.0.1:${address.port}` : ''
}

/** Answers of fixed paths; all others are not found. */
export function answering(answers: Readonly<Record<string, string | RequestListener>>): RequestListener {
  return (request, response) => {
    const answer = answers[(request.url ?? '').split('?', 1)[0] ?? '']
    if (typeof answer === 'function') answer(request, response)
    else if (answer === undefined) response.writeHead(404).end('404 page not found\n')
    else response.end(answer)
  }
}

// What a unary call costs in the transport alone: this project's, node:http2 and @grpc/grpc-js, each in a process of
// its own that answers 300 constant bytes, driven by h2load with 20-byte requests.
//
//   node benchmarks/grpc-transport.mjs [requests]
import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import http2 from 'node:http2'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const PATH = '/bench.Bench/Do'
const answer = Buffer.alloc(300, 'x')
const loads = [
  { connections: 1, streams: 1, share: 0.05 },
  { connections: 10, streams: 10, share: 1 },
  { connections: 50, streams: 20, share: 1 },
]

const servers = {
  'packages/grpc': async () => {
    const { GrpcServer } = await import('@etcd-ts/grpc')
    const services = new Map([[PATH, { kind: 'unary', handle: (call) => call.respond(answer) }]])
    const server = new GrpcServer({ services })
    return listen(net.createServer((socket) => server.handle(socket)))
  },
  'node:http2': async () => {
    const framed = Buffer.concat([Buffer.from([0, 0, 0, 1, 44]), answer])
    const server = http2.createServer()
    server.on('stream', (stream) => {
      stream.resume()
      stream.on('end', () => {
        stream.respond({ ':status': 200, 'content-type': 'application/grpc' }, { waitForTrailers: true })
        stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }))
        stream.end(framed)
      })
    })
    return listen(server)
  },
  '@grpc/grpc-js': async () => {
    const grpc = await import('@grpc/grpc-js')
    const same = (bytes) => bytes
    const coding = {
      requestSerialize: same,
      requestDeserialize: same,
      responseSerialize: same,
      responseDeserialize: same,
    }
    const server = new grpc.Server()
    server.addService(
      { Do: { path: PATH, requestStream: false, responseStream: false, ...coding } },
      { Do: (_call, callback) => callback(null, answer) },
    )
    return new Promise((resolve, reject) => {
      server.bindAsync('127.0.0.1:0', grpc.ServerCredentials.createInsecure(), (error, port) =>
        error === null ? resolve(port) : reject(error),
      )
    })
  },
}

async function listen(server) {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server.address().port
}

async function serve(name) {
  process.on('message', () => process.send({ cpu: process.cpuUsage() }))
  process.send({ port: await servers[name]() })
}

async function cpuMicros(child) {
  child.send('cpu')
  const [{ cpu }] = await once(child, 'message')
  return cpu.user + cpu.system
}

function h2load(port, body, { connections, streams }, requests) {
  const text = execFileSync(
    'h2load',
    [
      `-n${requests}`,
      `-c${connections}`,
      `-m${streams}`,
      `-d${body}`,
      '-Hcontent-type: application/grpc',
      '-Hte: trailers',
      `http://127.0.0.1:${port}${PATH}`,
    ],
    { encoding: 'utf8' },
  )
  if (!text.includes(`${requests} succeeded`)) throw new Error(text)
  return Number(/([\d.]+) req\/s/.exec(text)[1])
}

async function compare(requestsMost) {
  const folder = mkdtempSync(join(tmpdir(), 'grpc-transport-'))
  const body = join(folder, 'body')
  writeFileSync(body, Buffer.concat([Buffer.from([0, 0, 0, 0, 20]), Buffer.alloc(20)]))
  console.log('server          connections x streams   requests/s   CPU us/request')
  for (const [name, speed] of [
    ['packages/grpc', 1],
    ['node:http2', 0.15],
    ['@grpc/grpc-js', 0.1],
  ]) {
    const child = fork(fileURLToPath(import.meta.url), ['--serve', name])
    const [{ port }] = await once(child, 'message')
    for (const load of loads) {
      const requests = Math.round(requestsMost * load.share * speed)
      h2load(port, body, load, Math.round(requests / 5))
      const before = await cpuMicros(child)
      const rate = h2load(port, body, load, requests)
      const cpu = ((await cpuMicros(child)) - before) / requests
      const shape = `${load.connections} x ${load.streams}`
      console.log(
        `${name.padEnd(16)}${shape.padEnd(24)}${rate.toFixed(0).padStart(10)}   ${cpu.toFixed(1).padStart(14)}`,
      )
    }
    child.kill()
    await once(child, 'exit')
  }
  rmSync(folder, { recursive: true })
}

if (process.argv[2] === '--serve') await serve(process.argv[3])
else await compare(Number(process.argv[2] ?? 600_000))

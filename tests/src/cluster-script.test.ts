import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import {
  OutputLog,
  freeAfter,
  makeTempDir,
  ourCtlCommand,
  repositoryRoot,
  reservePorts,
} from '@etcd-ts/testkit'

// `npm run cluster` without npm and without the build, on ports that are free.

const script = join(repositoryRoot, 'scripts', 'cluster.mjs')

interface Script {
  readonly log: OutputLog
  type(line: string): void
  /** Ends it as Ctrl-C does. @returns its exit code */
  interrupt(): Promise<unknown>
}

function start(t: TestContext, flags: readonly string[]): Script {
  const child = spawn(process.execPath, [script, '--no-build', ...flags], { stdio: ['pipe', 'pipe', 'pipe'] })
  const ended = once(child, 'close')
  const log = new OutputLog()
  log.follow(child.stdout)
  log.follow(child.stderr)
  freeAfter(t, async () => {
    child.kill('SIGTERM')
    await ended
  })
  return {
    log,
    type: (line) => void child.stdin.write(`${line}\n`),
    async interrupt() {
      child.kill('SIGINT')
      const [code]: unknown[] = await ended
      return code
    },
  }
}

function etcdctl(...args: readonly string[]): Promise<string> {
  const [program = '', ...words] = ourCtlCommand()
  return new Promise((resolve, reject) => {
    execFile(program, [...words, ...args], (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else reject(new Error(stderr, { cause: error }))
    })
  })
}

void test('a cluster starts, loses a member, gets it back, stops, and keeps its data', async (t) => {
  const baseDir = makeTempDir(t, 'cluster')
  const ports: number[] = []
  // The port of the peers is the one after that of the clients.
  while (ports.length < 3) {
    const [client = 0, peer] = await reservePorts(t, 2)
    if (peer === client + 1) ports.push(client)
  }
  const timing = ['--', '--heartbeat-interval=50', '--election-timeout=500']
  const flags = ['--base-dir', baseDir, '--ports', ports.join(','), ...timing]
  const cluster = start(t, flags)
  const ready = await cluster.log.waitFor(/^All 3 members are ready; .* bin\/etcdctl --endpoints=/)
  const endpoints = /--endpoints=\S+/.exec(ready)![0]
  assert.equal(endpoints, `--endpoints=${ports.map((port) => `127.0.0.1:${port}`).join(',')}`)
  assert.equal((await etcdctl(endpoints, 'endpoint', 'status')).trimEnd().split('\n').length, 3)
  assert.equal(await etcdctl(endpoints, 'put', 'a', 'b'), 'OK\n')
  assert.ok(cluster.log.find(/^etcd2 \| info {2}\S.* \S+=\S/), 'log lines are rendered')

  cluster.type('leader')
  await cluster.log.waitFor(/^etcd[123] leads$/)
  cluster.type('kill etcd2')
  await cluster.log.waitFor(/^etcd2 is down/)
  const two = `--endpoints=127.0.0.1:${ports[0]},127.0.0.1:${ports[2]}`
  assert.equal(await etcdctl(two, '--command-timeout=10s', 'get', 'a'), 'a\nb\n')
  cluster.type('start 2')
  await cluster.log.waitFor(/^etcd2 \| .*published local member to cluster/, {
    from: cluster.log.lines.findIndex((line) => line.startsWith('etcd2 is down')),
  })
  cluster.type('stop 4')
  await cluster.log.waitFor(/^stop: which member\? 1 to 3$/)
  assert.equal(await cluster.interrupt(), 0)

  const again = start(t, flags)
  await again.log.waitFor(/^All 3 members are ready/)
  assert.equal(await etcdctl(endpoints, 'get', 'a'), 'a\nb\n')
  const beside = start(t, flags)
  await beside.log.waitFor(/^port \d+ is in use/)
  const other = start(t, ['--base-dir', baseDir, '--ports', (await reservePorts(t, 1)).join(',')])
  await other.log.waitFor(/holds a cluster with the client ports/)
  assert.equal(await again.interrupt(), 0)
})

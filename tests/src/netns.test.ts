import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import {
  ManualScope,
  type ServerProgram,
  eventually,
  ourServer,
  realServer,
  repositoryRoot,
  skipWithout,
} from '@etcd-ts/testkit'
import { type Finished, type Host, type HostProgram, makeHosts, missingForHosts } from './three-hosts.ts'

// The deployment that etcd's guides describe, by the very commands of compose.yaml, on three hosts that know each other
// by name: first with real etcd, which proves the test, then with ours.

const names = ['etcd-node1', 'etcd-node2', 'etcd-node3']
const memberIds = ['5b926f852fa1811', '9b3cd975d37c44ce', '9e13ad3ed0f8a26b']
const ours = join(repositoryRoot, 'bin')
const WAIT_MS = 30_000

/** The command of member `i`, word by word. */
const serverWords = readCommands()

function readCommands(): string[][] {
  const text = readFileSync(join(repositoryRoot, 'compose.yaml'), 'utf8')
  return [...text.matchAll(/^ +command: (.*)$/gm)].map(([, command = '']) => {
    return command.split(' ').map((word) => word.replaceAll('"', ''))
  })
}

const missing = missingForHosts()
const noHosts = skipWithout(missing === undefined, missing ?? '')

function describeHosts(program: ServerProgram | undefined, title: string, folder: string): void {
  const skip = noHosts ?? skipWithout(program, 'etcd')
  void describe(`three hosts run ${title}`, { ...(skip !== undefined && { skip }) }, () => {
    const scope = new ManualScope()
    const members: HostProgram[] = []
    let hosts: Host[]

    function startMember(i: number): void {
      members[i] = hosts[i]!.start(scope, folder, serverWords[i]!)
    }

    /** Our etcdctl, run on host `from` against the member of host `to`. */
    function ctl(from: number, to: number | 'all', ...words: readonly string[]): Promise<Finished> {
      const endpoints = to === 'all' ? names : [names[to]!]
      const flag = `--endpoints=${endpoints.map((name) => `${name}:2379`).join(',')}`
      return hosts[from]!.run(ours, ['etcdctl', flag, ...words])
    }

    /** Asks again until the command prints `stdout`. */
    function prints(
      stdout: string,
      from: number,
      to: number | 'all',
      ...words: readonly string[]
    ): Promise<void> {
      let last: Finished | undefined
      return eventually(`"${words.join(' ')}" to print ${JSON.stringify(stdout)}`, WAIT_MS, async () => {
        last = await ctl(from, to, ...words)
        return last.code === 0 && last.stdout === stdout ? last : undefined
      }).then(
        () => undefined,
        (error: unknown) => {
          throw new Error(`${String(error)}; it gave ${JSON.stringify(last)}`, { cause: error })
        },
      )
    }

    /** The place of the leader that all of `asked` name; waits for it. */
    function agreedLeader(asked: readonly number[]): Promise<number> {
      return eventually('one leader', WAIT_MS, async () => {
        const leaders = new Set<string>()
        for (const i of asked) {
          const { code, stdout } = await ctl(i, i, 'endpoint', 'status', '-w', 'json', '--command-timeout=2s')
          if (code !== 0) return undefined
          leaders.add(/"leader":(\d+)/.exec(stdout)?.[1] ?? 'none')
        }
        const [leader = 'none', ...others] = leaders
        if (leader === 'none' || others.length > 0) return undefined
        const place = memberIds.findIndex((id) => BigInt(`0x${id}`) === BigInt(leader))
        return asked.includes(place) ? place : undefined
      })
    }

    before(() => {
      hosts = makeHosts(scope, names)
      for (const i of hosts.keys()) startMember(i)
    })
    after(() => scope.end())

    void test('the commands are those of the guides', () => {
      const all = names.map((name, i) => `etcd${i + 1}=http://${name}:2380`).join(',')
      const commands = names.map((_, i) => {
        return (
          `etcd -name etcd${i + 1} -advertise-client-urls http://0.0.0.0:2379 ` +
          '-listen-client-urls http://0.0.0.0:2379 -listen-peer-urls http://0.0.0.0:2380 ' +
          `-initial-cluster-token etcd-cluster -initial-cluster ${all} -initial-cluster-state new`
        )
      })
      assert.deepEqual(
        serverWords.map((words) => words.join(' ')),
        commands,
      )
    })

    void test('they become one cluster, with the ids that follow from names and token', async () => {
      for (const { log } of members) await log.waitFor(program!.readyLine, { timeoutMs: WAIT_MS })
      const list = names.map((name, i) => {
        return `${memberIds[i]}, started, etcd${i + 1}, http://${name}:2380, http://0.0.0.0:2379, false\n`
      })
      for (const i of hosts.keys()) await prints(list.join(''), i, i, 'member', 'list')
      await agreedLeader([0, 1, 2])
    })

    void test('what is written at one is read at the others', async () => {
      for (const i of hosts.keys()) await prints('OK\n', i, i, 'put', `from-${i}`, 'here')
      const all = 'from-0\nhere\nfrom-1\nhere\nfrom-2\nhere\n'
      for (const i of hosts.keys()) {
        assert.equal((await ctl(i, i, 'get', '--prefix', 'from-')).stdout, all)
        assert.equal((await ctl((i + 1) % 3, i, 'get', '--prefix', 'from-')).stdout, all)
      }
    })

    void test('when the host of the leader loses its cable the others go on, and it comes back', async () => {
      const cut = await agreedLeader([0, 1, 2])
      const rest = [0, 1, 2].filter((i) => i !== cut)
      hosts[cut]!.unplug()
      const next = await agreedLeader(rest)
      assert.notEqual(next, cut)
      await prints('OK\n', rest[0]!, rest[0]!, 'put', 'without', 'you')
      await prints('without\nyou\n', rest[1]!, rest[1]!, 'get', 'without')

      const stale = await ctl(cut, cut, 'get', 'without', '--consistency=s')
      assert.deepEqual([stale.code, stale.stdout], [0, ''])
      const refused = await ctl(cut, cut, 'get', 'without', '--command-timeout=1s')
      assert.equal(refused.code, 1)
      const lost = await ctl(cut, cut, 'put', 'alone', 'may be lost', '--command-timeout=1s')
      assert.equal(lost.code, 1)

      hosts[cut]!.plug()
      await agreedLeader([0, 1, 2])
      await prints('without\nyou\n', cut, cut, 'get', 'without')
      await prints('without\nyou\n', cut, cut, 'get', 'without', '--consistency=s')
    })

    void test('a member that is killed starts again with the same command', async () => {
      await members[1]!.kill()
      await prints('OK\n', 0, 0, 'put', 'while', 'dead')
      startMember(1)
      await members[1]!.log.waitFor(program!.readyLine, { timeoutMs: WAIT_MS })
      await prints('while\ndead\n', 1, 1, 'get', 'while')
      await agreedLeader([0, 1, 2])
    })
  })
}

const real = realServer()
describeHosts(real, 'real etcd', dirname(real?.command[0] ?? ''))
describeHosts(ourServer(), 'etcd-ts', ours)

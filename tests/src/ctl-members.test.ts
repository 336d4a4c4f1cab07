import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, describe, test } from 'node:test'
import { type AnyCodec, etcdserverpb } from '@etcd-ts/api'
import {
  type ClusterMember,
  ClusterProcess,
  ManualScope,
  type ServerProgram,
  eventually,
  findProgram,
  ourCtlCommand,
  ourServer,
  realServer,
  skipWithout,
} from '@etcd-ts/testkit'

// The same commands about members with real etcdctl and with ours, on clusters of real etcd and of ours: texts, output
// streams and exit codes are the same but for times and for the ids of new members.

const WAIT_MS = 30_000
const FORMATS = ['simple', 'json', 'fields', 'table', 'protobuf'] as const
type Format = (typeof FORMATS)[number]

interface Answer {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

const real = realServer()
const realCtl = findProgram('etcdctl')

function run(command: readonly string[], args: readonly string[]): Promise<Answer> {
  const [program = '', ...words] = command
  return new Promise((resolve) => {
    const options = { encoding: 'latin1', timeout: 20_000 } as const
    const child = execFile(program, [...words, ...args], options, (_, stdout, stderr) => {
      resolve({ code: child.exitCode, stdout, stderr })
    })
  })
}

/** An answer without what differs from call to call. */
function masked({ code, stdout, stderr }: Answer, newId?: string): Answer {
  const id = newId === undefined ? /(?!)/g : new RegExp(` *${newId}|${BigInt(`0x${newId}`)}`, 'g')
  const mask = (text: string): string => {
    return text
      .replace(/^NAME:\n[^]*/, '<help>')
      .replaceAll(/^\{"level":.*\n/gm, '')
      .replaceAll(id, ' <new>')
      .replaceAll(/\b[\d.]+(?:m|Â?µ)?s\b/g, '<time>')
      .replaceAll(/ +(<time>|TOOK) */g, ' $1 ')
      .replaceAll(/-{6,}/g, '<line>')
      .replaceAll(/http:\/\/127\.0\.0\.1:4\d{4}/g, '<url>')
  }
  return { code, stdout: sorted(mask(stdout)), stderr: sorted(mask(stderr)) }
}

/** Members stand in the order of their ids, and answers of health in the order in which they come. */
function sorted(text: string): string {
  return text
    .split('\n')
    .flatMap((line) => line.split(line.startsWith('ETCD_INITIAL_CLUSTER=') ? /[,"]/ : /[[{}\]]+,?/))
    .toSorted()
    .join('\n')
}

/** Messages as text, so that ids in them can be masked. */
function readable(answer: Answer, codec: AnyCodec | undefined, format: Format): Answer {
  if (codec === undefined || format !== 'protobuf' || answer.code !== 0) return answer
  const message: unknown = codec.decode(Buffer.from(answer.stdout, 'latin1'))
  const text = JSON.stringify(message, (_, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  )
  return { ...answer, stdout: text }
}

function describeCommands(program: ServerProgram | undefined, title: string): void {
  const skip = skipWithout(realCtl, 'etcdctl') ?? skipWithout(program, 'etcd')
  void describe(`etcdctl about members of ${title}`, { ...(skip !== undefined && { skip }) }, () => {
    const scope = new ManualScope()
    const programs = [[realCtl ?? ''], ourCtlCommand()]
    let cluster: ClusterProcess
    let leader: ClusterMember
    let follower: ClusterMember
    let lastPort = 40_000

    before(async () => {
      cluster = await ClusterProcess.start(scope, {
        ...(program !== undefined && { program }),
        flags: ['--heartbeat-interval=50', '--election-timeout=500'],
      })
      leader = await cluster.leader()
      follower = (await cluster.followers())[0]!
      await cluster.settled()
    })
    after(() => scope.end())

    /** Runs a command that changes nothing with both programs. */
    async function same(endpoints: readonly string[], args: readonly string[]): Promise<void> {
      const all = [`--endpoints=${endpoints.join(',')}`, '--command-timeout=5s', ...args]
      const [theirs, ours] = [await run(programs[0]!, all), await run(programs[1]!, all)]
      assert.deepEqual(masked(ours), masked(theirs), args.join(' '))
    }

    for (const format of FORMATS) {
      void test(`reading commands, ${format}`, async () => {
        for (const member of [leader, follower]) {
          await same([member.endpoint], ['member', 'list', '-w', format])
          await same([member.endpoint], ['endpoint', 'status', '--cluster', '-w', format])
          await same([member.endpoint], ['endpoint', 'health', '--cluster', '-w', format])
          await same([member.endpoint], ['endpoint', 'hashkv', '--cluster', '-w', format])
        }
        await same(cluster.endpoints, ['endpoint', 'status', '-w', format])
      })
    }

    void test('what is refused', async () => {
      const { idHex, peerUrl } = leader
      const rows = [
        ['add'],
        ['add', 'a', 'b', '--peer-urls=http://127.0.0.1:1'],
        ['add', 'a', 'http://127.0.0.1:1'],
        ['add', 'a'],
        ['add', 'a', '--peer-urls='],
        ['add', 'a', '--peer-urls=127.0.0.1:1'],
        ['add', 'a', '--peer-urls=http://127.0.0.1'],
        ['add', 'a', '--peer-urls=http://127.0.0.1:1,'],
        ['add', 'a', '--peer-urls=http://127.0.0.1:1/path'],
        ['remove'],
        ['remove', 'xyz'],
        ['remove', '0x1'],
        ['remove', '-1'],
        ['remove', '--', '-1'],
        ['remove', '11112222333344445'],
        ['remove', '1234abcd'],
        ['remove', '0'],
        ['update', '1234abcd', '--peer-urls=http://127.0.0.1:1'],
        ['update', idHex],
        ['update', idHex, '--peer-urls=bad'],
        ['update', follower.idHex, `--peer-urls=${peerUrl}`],
        ['promote'],
        ['promote', 'x'],
        ['promote', '1234abcd'],
        ['promote', idHex],
        ['promote', idHex, idHex],
        ['add', 'a', `--peer-urls=${peerUrl}`],
      ]
      // Changes are refused as unhealthy while members have not been connected for 5 s.
      await eventually('a cluster that takes changes', WAIT_MS, async () => {
        const args = [`--endpoints=${leader.endpoint}`, 'member', 'add', 'a', `--peer-urls=${peerUrl}`]
        const { stderr } = await run(programs[1]!, args)
        return stderr.includes('Peer URLs already exists') ? true : undefined
      })
      for (const member of [leader, follower]) {
        for (const row of rows) await same([member.endpoint], ['member', ...row])
      }
      await same([follower.endpoint], ['move-leader', follower.idHex])
      await same([leader.endpoint], ['move-leader', '1234abcd'])
      await same(cluster.endpoints, ['move-leader', '0'])
    })

    /**
     * Adds a member, does what is to be compared, and removes it, with each program in turn.
     *
     * @param args the words of `member add`; `<url>` stands for one that is new
     * @param between commands; `<new>` stands for the new member's id
     */
    async function compareAround(
      endpoint: string,
      format: Format,
      args: readonly string[],
      between: readonly (readonly string[])[],
    ): Promise<void> {
      const flags = [`--endpoints=${endpoint}`, '-w', format]
      const { MemberAddResponse, MemberListResponse } = etcdserverpb
      const all: Answer[][] = []
      for (const command of programs) {
        // A member's id is a hash of its URLs and the time in seconds, and an id is not given twice.
        const url = `http://127.0.0.1:${++lastPort}`
        const addWords = args.map((word) => word.replace('<url>', url))
        const added = await run(command, [...flags, 'member', 'add', ...addWords])
        const member = (await cluster.memberList()).find(({ name }) => name === '')
        assert.ok(member, `${args.join(' ')}: ${added.stderr}`)
        const newId = member.ID.toString(16)
        const answers = [masked(readable(added, MemberAddResponse, format), newId)]
        for (const words of [...between, ['member', 'remove', '<new>']]) {
          const answer = await run(command, [...flags, ...words.map((word) => word.replace('<new>', newId))])
          answers.push(masked(readable(answer, MemberListResponse, format), newId))
        }
        const gone = `waiting for the removal of ${newId}`
        await eventually(gone, WAIT_MS, async () =>
          (await cluster.memberList()).length === 3 ? true : undefined,
        )
        all.push(answers)
      }
      const [theirs, ours] = all
      assert.deepEqual(ours, theirs)
    }

    for (const format of FORMATS) {
      void test(`members come and go, ${format}`, async () => {
        for (const member of [leader, follower]) {
          await compareAround(
            member.endpoint,
            format,
            ['m9', '--peer-urls=<url>,http://localhost:1'],
            [
              ['member', 'list'],
              ['member', 'promote', '<new>'],
              ['member', 'update', '<new>', '--peer-urls=http://127.0.0.1:3'],
            ],
          )
        }
      })

      void test(`learners come and go, ${format}`, async () => {
        await compareAround(
          follower.endpoint,
          format,
          ['m9', '--learner', '--peer-urls=<url>'],
          [
            ['member', 'list'],
            ['member', 'promote', '<new>'],
            ['member', 'add', 'm10', '--learner', '--peer-urls=http://127.0.0.1:2'],
            ['move-leader', '<new>'],
          ],
        )
      })
    }

    void test('a learner that has caught up is promoted, and leadership moves', async () => {
      const answers: Answer[] = []
      for (const command of programs) {
        const learner = await cluster.join({ learner: true })
        const promoted = await eventually('a learner in sync', WAIT_MS, async () => {
          const args = [`--endpoints=${follower.endpoint}`, 'member', 'promote', learner.idHex]
          const answer = await run(command, args)
          return answer.stderr.includes('in sync with leader') ? undefined : answer
        })
        answers.push(masked(promoted, learner.idHex))
        await cluster.remove(learner)
      }
      assert.deepEqual(answers[1], answers[0])

      for (const command of programs) {
        const from = await cluster.leader()
        const [to] = await cluster.followers()
        const moved = await run(command, [
          `--endpoints=${cluster.endpoints.join(',')}`,
          'move-leader',
          to!.idHex,
        ])
        assert.deepEqual(moved, {
          code: 0,
          stdout: `Leadership transferred from ${from.idHex} to ${to!.idHex}\n`,
          stderr: '',
        })
        assert.equal(await cluster.leader({ except: from }), to)
      }
    })

    void test('with one of three down', async () => {
      leader = await cluster.leader()
      const [up, down] = await cluster.followers()
      await down!.stop()
      for (const member of [leader, up!]) {
        await eventually('a member that knows', WAIT_MS, async () => {
          const args = [
            `--endpoints=${member.endpoint}`,
            'member',
            'add',
            'a',
            '--peer-urls=http://127.0.0.1:1',
          ]
          return (await run(programs[1]!, args)).stderr.includes('unhealthy cluster') ? true : undefined
        })
        const endpoints = [member.endpoint]
        await same(endpoints, ['member', 'add', 'a', '--peer-urls=http://127.0.0.1:1'])
        await same(endpoints, ['member', 'add', 'a', '--learner', '--peer-urls=http://127.0.0.1:1'])
        await same(endpoints, ['member', 'remove', member.idHex])
        await same(endpoints, ['endpoint', 'health', '--cluster', '--command-timeout=500ms'])
        await same(endpoints, ['endpoint', 'status', '--cluster', '--command-timeout=500ms'])
      }
    })
  })
}

describeCommands(real, 'real etcd')
describeCommands(ourServer(), 'etcd-ts')

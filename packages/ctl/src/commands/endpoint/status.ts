import { etcdserverpb } from '@etcd-ts/api'
import type { Command, Invocation } from '../../cli/command.ts'
import { callErrorText } from '../../call-error.ts'
import { ExitCode, ExitError } from '../../exit.ts'
import { display } from '../../output/display.ts'
import { fieldLine, headerFields } from '../../output/fields.ts'
import { messageJson, textJson } from '../../output/json.ts'
import { humanSize } from '../../output/size.ts'
import { table } from '../../output/table.ts'
import { openSession } from '../../session.ts'
import { memberEndpoints } from './member-endpoints.ts'

export const status: Command = {
  name: 'status',
  use: 'status',
  short: 'Shows the state of each endpoint',
  long: [
    'For each endpoint: its address, the ID of the member, its version, the size of its database, whether it is',
    'the leader, whether it is a learner, its Raft term, index and applied index, and its errors.',
  ].join('\n'),
  run,
}

interface Status {
  readonly endpoint: string
  readonly answer: etcdserverpb.StatusResponse
}

const HEADINGS = [
  'endpoint',
  'ID',
  'version',
  'db size',
  'is leader',
  'is learner',
  'raft term',
  'raft index',
  'raft applied index',
  'errors',
]

async function run(invocation: Invocation): Promise<void> {
  const { flags, io } = invocation
  const session = await openSession(invocation)
  const endpoints = await memberEndpoints(session, flags)
  const client = await session.connect()
  const results: Status[] = []
  for (const endpoint of endpoints) {
    try {
      results.push({ endpoint, answer: await client.maintenance.status(endpoint, session) })
    } catch (error) {
      io.err(`Failed to get the status of endpoint ${endpoint} (${callErrorText(error)})\n`)
    }
  }
  display(io, session.format, {
    simple: () => results.map((result) => `${row(result).join(', ')}\n`).join(''),
    table: () => table(HEADINGS, results.map(row)),
    json: () => `[${results.map(statusJson).join(',')}]\n`,
    fields: () => results.map(statusFields).join(''),
  })
  if (results.length < endpoints.length) throw new ExitError(ExitCode.Error, '')
}

function row({ endpoint, answer }: Status): string[] {
  const { header } = answer
  return [
    endpoint,
    (header?.memberId ?? 0n).toString(16),
    answer.version,
    humanSize(answer.dbSize),
    String(answer.leader === header?.memberId),
    String(answer.isLearner),
    String(answer.raftTerm),
    String(answer.raftIndex),
    String(answer.raftAppliedIndex),
    answer.errors.join(', '),
  ]
}

function statusJson({ endpoint, answer }: Status): string {
  return `{"Endpoint":${textJson(endpoint)},"Status":${messageJson(etcdserverpb.StatusResponse, answer)}}`
}

function statusFields({ endpoint, answer }: Status): string {
  return [
    headerFields(answer.header),
    fieldLine('Version', answer.version),
    fieldLine('DBSize', answer.dbSize),
    fieldLine('Leader', answer.leader),
    fieldLine('IsLearner', answer.isLearner),
    fieldLine('RaftIndex', answer.raftIndex),
    fieldLine('RaftTerm', answer.raftTerm),
    fieldLine('RaftAppliedIndex', answer.raftAppliedIndex),
    `"Errors" : [${answer.errors.join(' ')}]\n`,
    fieldLine('Endpoint', endpoint),
    '\n',
  ].join('')
}

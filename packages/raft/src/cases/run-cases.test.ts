import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseCases } from './case-file.ts'
import { runCases } from './run-cases.ts'

const failuresOf = (text: string): string[] => {
  return runCases(parseCases(text)).map(({ line, actual }) => `${line}: ${actual}`)
}

void test('what a case prints is compared to the letter', () => {
  assert.deepEqual(failuresOf('vote cfg=(1) votes=(y)\n----\nVoteWon\n'), [])
  assert.deepEqual(failuresOf('vote cfg=(1) votes=(y)\n----\nVoteLost\n'), ['1: VoteWon\n'])
})

void test('the empty configuration commits everything', () => {
  assert.deepEqual(failuresOf('committed\n----\n<empty majority quorum>∞\n'), [])
})

void test('values have to match the voters', () => {
  const expected = 'error: mismatched input (explicit or _) for voters map[1:{} 2:{}]: [0]'
  assert.deepEqual(failuresOf(`committed cfg=(1,2) idx=(_)\n----\n${expected}\n`), [])
})

void test('errors are what a command prints', () => {
  const text = [
    "leave-joint\n----\ncan't leave a non-joint config\n",
    'simple\nx1\n----\nunknown input: x1\n',
    'simple\nv\n----\nunknown token v\n',
    'leave-joint\nv1\n----\nthis command takes no input\n',
  ].join('\n')
  assert.deepEqual(failuresOf(text), [])
})

void test('nodes are silent at level none, but for errors', () => {
  const text = [
    'log-level none\n----\nok\n',
    'add-nodes 1 voters=(1) index=1\n----\nindex must be specified as > 1 due to bootstrap\n',
    'add-nodes 2 voters=(1,2) index=5\n----\nok\n',
    'propose 1 foo\n----\nraft proposal dropped\n',
    'log-level debug\n----\nok\n',
    'propose 1 foo\n----\nINFO 1 no leader at term 0; dropping proposal\nraft proposal dropped\n',
    'log-level loud\n----\nlog levels must be either of [DEBUG INFO WARN ERROR FATAL NONE]\n',
    'raft-log 1\n----\nlog is empty: first index=6, last index=5\n',
    'compact 1 5\n----\nrequested index is unavailable due to compaction\n',
    'status 1\n----\nok\n',
    'process-append-thread 1\n----\nno append work to perform\n',
    'process-apply-thread 1\n----\nno apply work to perform\n',
    'deliver-msgs 1 type=MsgApp\n----\nno messages\n',
    'process-ready 1\n----\n<empty Ready>\n',
    'report-unreachable 1\n----\nmust specify exactly two node indexes: node on which to report, and reported node\n',
    'propose-conf-change 1 v1=true\nv1 v2\n----\nv1 conf change can only have one operation and no transition\n',
    'propose-conf-change 1 transition=sudden\nv1\n----\nunknown transition sudden\n',
    'nonsense\n----\nunknown command\n',
  ].join('\n')
  assert.deepEqual(failuresOf(text), [])
})

void test('a snapshot that is sent by hand has the newest state', () => {
  const text = [
    'log-level none\n----\nok\n',
    'add-nodes 1 voters=(1) index=5\n----\nok\n',
    'campaign 1\n----\nok\n',
    'stabilize\n----\nok\n',
    'log-level error\n----\nok\n',
    'add-nodes 1\n----\nok\n',
    'send-snapshot 1 2\n----\n' +
      '1->2 MsgSnap Term:1 Log:0/0\n' +
      '  Snapshot: Index:6 Term:1 ConfState:Voters:[1] VotersOutgoing:[] Learners:[] LearnersNext:[] AutoLeave:false\n',
    'deliver-msgs drop=(2)\n----\n' +
      'dropped: 1->2 MsgSnap Term:1 Log:0/0\n' +
      '  Snapshot: Index:6 Term:1 ConfState:Voters:[1] VotersOutgoing:[] Learners:[] LearnersNext:[] AutoLeave:false\n',
  ].join('\n')
  assert.deepEqual(failuresOf(text), [])
})

void test('a case that breaks down ends its file', () => {
  const failures = failuresOf('campaign 7\n----\nok\n\nlog-level none\n----\nno\n')
  assert.equal(failures.length, 1)
  assert.match(failures[0]!, /^1: Error: there is no node 7/)
})

import type { ScriptOptions } from './completion.ts'
import type { Choice, Choices } from './places.ts'

/** The script for fish. */
export function fishScript({ places, globals }: Choices, { descriptions }: ScriptOptions): string {
  const about = (choice: Choice): string => (descriptions ? ` -d ${quoted(choice.about)}` : '')
  const flag = (choice: Choice): string =>
    `-l ${choice.word.slice(2)}${choice.hasValue ? ' -r' : ''}${about(choice)}`
  const lines = places.flatMap(({ path, commands, flags }) => {
    const when = `complete -c etcdctl -n ${quoted(`test (__etcdctl_at) = "${path}"`)}`
    return [
      ...commands.map((choice) => `${when} -f -a ${choice.word}${about(choice)}`),
      ...flags.map((choice) => `${when} ${flag(choice)}`),
    ]
  })
  const anywhere = globals.map((choice) => `complete -c etcdctl ${flag(choice)}`)
  const paths = places.slice(1).map(({ path }) => quoted(path))
  return `# fish completion for etcdctl
function __etcdctl_at
  set -l at ''
  for word in (commandline -opc)[2..-1]
    set -l step (string trim -- "$at $word")
    if contains -- $step ${paths.join(' ')}
      set at $step
    end
  end
  echo "$at"
end
${[...anywhere, ...lines].join('\n')}
`
}

function quoted(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`
}

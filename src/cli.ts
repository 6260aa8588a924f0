import { runCli } from './operator/cli/program.ts'

process.exit(await runCli(process.argv.slice(2), process))

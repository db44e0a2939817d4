/**
 * Commands in comments: `/ci help | run [glob] | rerun [failed] [glob] | cancel | approve [commit]`.
 *
 * A command is a line of its own. Lines that quote somebody, lines in code blocks and HTML comments
 * are not commands: people quote and show commands without meaning them.
 */
export { matchesGlob } from '../../evaluations/index.ts';

/** What a line asks for. */
export type Command =
  | { readonly verb: 'help' }
  | { readonly verb: 'run'; readonly glob: string | undefined }
  | { readonly verb: 'rerun'; readonly scope: 'all' | 'failed'; readonly glob: string | undefined }
  | { readonly verb: 'cancel' }
  | { readonly verb: 'approve'; readonly commit: string | undefined }
  /** It begins like a command; `problem` says to its author what is wrong with it. */
  | { readonly verb: 'unknown'; readonly problem: string };

export interface WrittenCommand {
  /** The line as it was written, cut. */
  readonly line: string;
  readonly command: Command;
}

/** A comment with more is somebody playing: the rest is not looked at. */
const maxCommands = 10;
const maxLine = 200;

/** The commands of a comment, in their order. `word` is what they begin with, for example `/ci`. */
export function parseCommands(body: string, word: string): readonly WrittenCommand[] {
  const commands: WrittenCommand[] = [];
  for (const line of ordinaryLines(body)) {
    const words = line.trim().split(/\s+/);
    if (words[0]?.toLowerCase() !== word.toLowerCase()) continue;
    commands.push({ line: line.trim().slice(0, maxLine), command: parseWords(words.slice(1), word) });
    if (commands.length === maxCommands) break;
  }
  return commands;
}

/** Lines that are neither quoted, nor in a code block (fenced or indented), nor in an HTML comment. */
function* ordinaryLines(body: string): Generator<string> {
  let fence: string | undefined;
  let hidden = false;
  for (const line of body.split(/\r\n|\r|\n/)) {
    if (fence !== undefined) {
      if (closes(line, fence)) fence = undefined;
      continue;
    }
    if (hidden) {
      if (line.includes('-->')) hidden = false;
      continue;
    }
    const opened = /^ {0,3}(`{3,}|~{3,})/.exec(line)?.[1];
    if (opened !== undefined) {
      fence = opened;
      continue;
    }
    if (line.lastIndexOf('<!--') > line.lastIndexOf('-->')) {
      hidden = true;
      continue;
    }
    if (/^( {4}|\t)/.test(line) || /^\s*>/.test(line)) continue;
    yield line;
  }
}

/** A fence ends with at least as many of its own characters, alone on their line. */
function closes(line: string, fence: string): boolean {
  const found = /^ {0,3}(`+|~+)\s*$/.exec(line)?.[1];
  return found?.startsWith(fence) ?? false;
}

/** What globs may hold: attribute paths as people write them, and stars. */
const globWords = /^[\w.*?"'+/-]{1,200}$/;
const commitWords = /^[0-9a-f]{7,64}$/;

function parseWords(words: readonly string[], word: string): Command {
  const [verb = 'help', ...rest] = words;
  switch (verb.toLowerCase()) {
    case 'help':
      return { verb: 'help' };
    case 'run':
      return withGlob(rest, word, (glob) => ({ verb: 'run', glob }));
    case 'rerun': {
      const failed = rest[0]?.toLowerCase() === 'failed';
      const scope = failed ? 'failed' : 'all';
      return withGlob(failed ? rest.slice(1) : rest, word, (glob) => ({ verb: 'rerun', scope, glob }));
    }
    case 'cancel':
      return rest.length === 0 ? { verb: 'cancel' } : tooMuch('cancel', word);
    case 'approve': {
      const [commit, ...more] = rest;
      if (more.length > 0) return tooMuch('approve', word);
      if (commit === undefined) return { verb: 'approve', commit };
      const lower = commit.toLowerCase();
      return commitWords.test(lower)
        ? { verb: 'approve', commit: lower }
        : {
            verb: 'unknown',
            problem: `What follows 'approve' is the beginning of a commit's hash, 7 digits or more.`,
          };
    }
    default:
      return { verb: 'unknown', problem: `There is no such command. '${word} help' lists them.` };
  }
}

function withGlob(
  rest: readonly string[],
  word: string,
  make: (glob: string | undefined) => Command,
): Command {
  const [glob, ...more] = rest;
  if (more.length > 0)
    return { verb: 'unknown', problem: `One pattern can be given; '${word} help' shows how.` };
  if (glob !== undefined && !globWords.test(glob)) {
    return {
      verb: 'unknown',
      problem: 'A pattern is an attribute path in which * and ? stand for anything.',
    };
  }
  return make(glob);
}

function tooMuch(verb: string, word: string): Command {
  return { verb: 'unknown', problem: `'${verb}' takes nothing more; '${word} help' lists the commands.` };
}

import type { Part } from './memory-bar.ts';

/** Columns that text is laid out for. */
export const WIDTH = 80;

/** How text looks: plain ASCII for files and pipes, blocks and colours for a terminal. */
export interface Look {
  /** One cell of a memory bar. */
  readonly cell: (part: Part) => string;
  readonly bold: (text: string) => string;
}

const LETTERS: Readonly<Record<Part, string>> = {
  weights: '#',
  overhead: 'o',
  recurrentState: 's',
  kvCache: 'k',
  free: '.',
};

export const PLAIN: Look = { cell: (part) => LETTERS[part], bold: (text) => text };

/** ANSI codes: apart from each other in light and dark themes; the shapes differ too, for who sees no colours. */
const CODES: Readonly<Record<Part, readonly [code: number, cell: string]>> = {
  weights: [34, '█'],
  overhead: [35, '▓'],
  recurrentState: [36, '▒'],
  kvCache: [32, '▒'],
  free: [90, '░'],
};

export const COLOURED: Look = {
  cell: (part) => `\u001B[${CODES[part][0]}m${CODES[part][1]}\u001B[0m`,
  bold: (text) => `\u001B[1m${text}\u001B[0m`,
};

/** Lines of at most `WIDTH` columns, broken at blanks; a longer word has a line of its own. */
export function wrapped(text: string, { first = '', rest = first }: { first?: string; rest?: string } = {}): string[] {
  const lines: string[] = [];
  let line = first;
  let isEmpty = true;
  for (const word of text.split(' ')) {
    if (!isEmpty && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = rest;
      isEmpty = true;
    }
    line += isEmpty ? word : ` ${word}`;
    isEmpty = false;
  }
  return [...lines, line];
}

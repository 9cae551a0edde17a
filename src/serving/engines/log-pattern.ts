/** A text of a log that means something. */
export interface LogPattern {
  /** Stable name; findings carry it. */
  readonly id: string;
  /**
   * What a match is: a `cause` that names its numbers; a `general-cause`, which a more telling line may explain; a `consequence` of
   * something that stands further up; a `fact` of an ordinary start.
   */
  readonly role: 'cause' | 'general-cause' | 'consequence' | 'fact';
  /** For one line without its prefix. */
  readonly regex: RegExp;
  /** A group whose least value counts; else the last line does. */
  readonly leastOf?: string;
  /** How many of the following lines belong to the text. */
  readonly linesMore?: number;
}

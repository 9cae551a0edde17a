import { Document, isScalar, visit } from 'yaml';

/**
 * Objects as one YAML stream for `kubectl` and Helm. These read YAML 1.1, in which a bare `Off` or `y` is a boolean, so such text is
 * quoted. Lists of plain words, as rights are made of, stand on one line.
 */
export const toYaml = (objects: readonly unknown[]): string =>
  objects
    .map((object) => {
      const document = new Document(object, { version: '1.1', aliasDuplicateObjects: false });
      visit(document, {
        Seq(_, list) {
          if (list.items.every((item) => isScalar(item) && WORD.test(String(item.value)))) list.flow = true;
        },
      });
      return document.toString({ lineWidth: 0, indentSeq: false, flowCollectionPadding: false });
    })
    .join('---\n');

const WORD = /^[\w./-]*$/;

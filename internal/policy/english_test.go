package policy

import (
	"flag"
	"go/ast"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var clausesOf = flag.String("clauses", "", "folder or document of which TestEnglish prints each leaning clause")

// leaning matches a word that stands where a noun should. A clause that leans
// on one is read twice: "what ends it" for "revocation", "whoever can write
// the file" for "an attacker with write access".
var leaning = regexp.MustCompile(`(?i)\b(?:what|who|whoever|whatever|nobody|somebody|none|that which|those that)\b`)

// maxLeaning is the share of leaning clauses, in percent, that a folder or a
// document may have. In packages that are easy to read it is 0 to 3.
const maxLeaning = 5

// prose is one paragraph and its place.
type prose struct{ at, text string }

var clauseEnd = regexp.MustCompile(`[.;:!?] `)

// clauses splits a paragraph at the marks that end a clause.
func (p prose) clauses() []string {
	return clauseEnd.Split(strings.Join(strings.Fields(p.text), " "), -1)
}

// TestEnglish reads the comments of all Go files but tests, of every module,
// and the documents that are read first. To see the clauses of a folder:
// go test -run TestEnglish -v ./internal/policy -clauses snibhttp
func TestEnglish(t *testing.T) {
	texts := map[string][]prose{
		"README.md":    paragraphs("README.md", read("README.md")),
		"CHANGELOG.md": paragraphs("CHANGELOG.md", read("CHANGELOG.md")),
	}
	for _, s := range sources() {
		if !strings.HasSuffix(s.path, "_test.go") {
			texts[s.dir] = append(texts[s.dir], comments(s.tree)...)
		}
	}
	examined(t, len(texts), "comments")
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		all, found := 0, []string{}
		for _, p := range texts[name] {
			for _, clause := range p.clauses() {
				all++
				if leaning.MatchString(clause) {
					found = append(found, p.at+": "+clause)
				}
			}
		}
		share := (100*len(found) + all - 1) / max(all, 1)
		if len(found) == 1 {
			share = min(share, maxLeaning) // one of few
		}
		t.Logf("%-28s %5d clauses, %4d leaning, %3d %%", name, all, len(found), share)
		if share > maxLeaning {
			t.Errorf("%s: %d %% of the clauses lean on what, who or nobody, more than %d", name, share, maxLeaning)
		}
		if name == *clausesOf {
			t.Log(strings.Join(found, "\n"))
		}
	}
}

// comments returns the paragraphs of a file's comments, without code.
func comments(tree *ast.File) (list []prose) {
	for _, group := range tree.Comments {
		list = append(list, paragraphs(at(group), group.Text())...)
	}
	return list
}

var (
	paragraphEnd = regexp.MustCompile(`\n\s*\n|\n(?:[-*|#]|\d+\. )`) // a blank line, an item, a row or a heading
	indentedCode = regexp.MustCompile(`(?m)^(?:\t| {4}).*$`)
)

// paragraphs splits a text into paragraphs, without its code.
func paragraphs(where, text string) (list []prose) {
	if path.Ext(where) == ".md" {
		_, text = blocks(text)
		text = inlineCode.ReplaceAllString(text, "x")
	}
	for _, p := range paragraphEnd.Split(indentedCode.ReplaceAllString(text, ""), -1) {
		if p = strings.Trim(p, "-*|# \n"); p != "" {
			list = append(list, prose{where, p})
		}
	}
	return list
}

// TestClauses: the ruler finds each word in its clause, and only in prose.
func TestClauses(t *testing.T) {
	text := "Whoever holds a copy is refused; the family ends. None is\nleft: revoked.\n\n" +
		"\tcode := what\n\nThe whole sentence, somewhat long.\n- Those that\n  ended.\n"
	var got []string
	all := 0
	for _, p := range paragraphs("x.go", text) {
		for _, clause := range p.clauses() {
			all++
			if leaning.MatchString(clause) {
				got = append(got, clause)
			}
		}
	}
	want := []string{"Whoever holds a copy is refused", "None is left", "Those that ended."}
	if !slices.Equal(got, want) || all != 6 {
		t.Errorf("%d clauses, leaning: %q\nwant 6, %q", all, got, want)
	}
}

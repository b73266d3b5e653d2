package report

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const repository = "../../.."

// TestDocumentHasTheRecordedFigures: what docs/PERFORMANCE.md says is what the
// recorded result says that it names.
func TestDocumentHasTheRecordedFigures(t *testing.T) {
	result, figures, err := DocumentFigures(filepath.Join(repository, "docs", "PERFORMANCE.md"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := Read(filepath.Join(repository, filepath.FromSlash(result)))
	if err != nil {
		t.Fatal(err)
	}
	if want := r.Figures(); figures != want {
		t.Errorf("the figures are not those of %s: run  cd bench && go run . -doc %s\ngot\n%s\nwant\n%s",
			result, strings.TrimPrefix(result, "bench/"), figures, want)
	}
}

func TestUpdateDocumentKeepsTheRest(t *testing.T) {
	dir := t.TempDir()
	doc, result := filepath.Join(dir, "P.md"), filepath.Join(dir, "x.json")
	if err := sample().Write(result); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(doc, []byte("before\n"+markBegin+"old -->\nold\n"+markEnd+"\nafter\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second time changes nothing
		if err := UpdateDocument(doc, result); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		want := "before\n" + markBegin + "bench/results/x.json -->\n" + sample().Figures() + markEnd + "\nafter\n"
		if string(b) != want {
			t.Fatalf("got\n%s\nwant\n%s", b, want)
		}
	}
	if err := os.WriteFile(doc, []byte("no marks"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := UpdateDocument(doc, result); err == nil {
		t.Error("a document without marks was changed")
	}
}

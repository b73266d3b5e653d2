package policy

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A plan says which files of a package use which others.
type plan map[string]map[string]bool

// arrows counts the pairs of files of which the first uses the second.
func (p plan) arrows() (n int) {
	for _, to := range p {
		n += len(to)
	}
	return n
}

// cycle returns the largest set of files that all use each other, directly or
// through others. A file that belongs to no cycle is not one of one.
func (p plan) cycle() (largest []string) {
	reach := map[string]map[string]bool{}
	for from := range p {
		seen := map[string]bool{}
		for next := slices.Collect(maps.Keys(p[from])); len(next) > 0; {
			at := next[len(next)-1]
			next = next[:len(next)-1]
			if !seen[at] {
				seen[at] = true
				next = slices.AppendSeq(next, maps.Keys(p[at]))
			}
		}
		reach[from] = seen
	}
	for from := range p {
		var all []string
		for to := range reach[from] {
			if reach[to][from] {
				all = append(all, to)
			}
		}
		if slices.Sort(all); len(all) > len(largest) || len(all) == len(largest) && slices.Compare(all, largest) < 0 {
			largest = all
		}
	}
	return largest
}

// draw type-checks the files of one package and returns its plan: an arrow
// from one file to another stands for any number of uses of names declared
// there. A method is declared where its body is, a field where its type is.
func draw(t *testing.T, importPath string, trees []*ast.File, from types.Importer) plan {
	t.Helper()
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: from, Sizes: types.SizesFor("gc", "amd64")}
	pkg, err := config.Check(importPath, fset, trees, info)
	if err != nil {
		t.Fatal(err)
	}
	file := func(at token.Pos) string { return path.Base(filepath.ToSlash(fset.Position(at).Filename)) }
	p := plan{}
	for _, tree := range trees {
		p[file(tree.Package)] = map[string]bool{}
	}
	for id, object := range info.Uses {
		if object.Pkg() != pkg || !object.Pos().IsValid() {
			continue
		}
		if here, there := file(id.Pos()), file(object.Pos()); here != there {
			p[here][there] = true
		}
	}
	return p
}

// plans draws library packages as they are built for one system, so that the
// figures are the same everywhere. One run of go list finds what all of them
// import, compiled: mostly by the go vet or go test before.
func plans(t *testing.T) map[string]plan {
	t.Helper()
	system := build.Default
	system.GOOS, system.GOARCH, system.BuildTags = "linux", "amd64", nil
	trees := map[string][]*ast.File{}
	for _, s := range sources() {
		if !s.library() {
			continue
		}
		match, err := system.MatchFile(root+"/"+s.dir, path.Base(s.path))
		if err != nil {
			t.Fatal(err)
		}
		if match {
			trees[s.dir] = append(trees[s.dir], s.tree)
		}
	}
	imports := exportData(t, slices.Sorted(maps.Keys(trees)))
	drawn := map[string]plan{}
	for dir, files := range trees {
		drawn[dir] = draw(t, path.Join("github.com/snibdb/snib", dir), files, imports)
	}
	return drawn
}

// exportData returns an importer of what the packages in some folders import.
func exportData(t *testing.T, dirs []string) types.Importer {
	t.Helper()
	command := []string{"go", "list", "-export", "-deps", "-f", "{{.ImportPath}}\t{{.Export}}"}
	for _, dir := range dirs {
		command = append(command, "./"+dir)
	}
	compiled := map[string]string{}
	for line := range strings.Lines(run(t, []string{"GOOS=linux", "GOARCH=amd64"}, command...)) {
		importPath, file, _ := strings.Cut(strings.TrimSpace(line), "\t")
		compiled[importPath] = file
	}
	return importer.ForCompiler(fset, "gc", func(importPath string) (io.ReadCloser, error) {
		if compiled[importPath] == "" {
			return nil, fmt.Errorf("go list names no compiled %s", importPath)
		}
		return os.Open(compiled[importPath])
	})
}

// TestArrows measures a package of which each arrow is known, and then without
// the arrow that closes its cycle: a ruler that counts nothing passes for ever.
func TestArrows(t *testing.T) {
	names, err := filepath.Glob("testdata/arrows/*.go")
	if err != nil || len(names) == 0 {
		t.Fatalf("no files in testdata/arrows: %v", err)
	}
	var trees []*ast.File
	for _, name := range names {
		tree, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		trees = append(trees, tree)
	}
	p := draw(t, "arrows", trees, importer.Default())
	var got []string
	for from, to := range p {
		for name := range to {
			got = append(got, strings.TrimSuffix(from, ".go")+" → "+strings.TrimSuffix(name, ".go"))
		}
	}
	slices.Sort(got)
	want := []string{
		"circle → registry", "circle → shape", "color → circle", "color → shape",
		"registry → shape", "shape → circle", "text → registry", "text → shape",
	}
	if !slices.Equal(got, want) || p.arrows() != len(want) {
		t.Errorf("%d arrows: %q\nwant %q", p.arrows(), got, want)
	}
	if got, want := p.cycle(), []string{"circle.go", "registry.go", "shape.go"}; !slices.Equal(got, want) {
		t.Errorf("the largest cycle is %q, want %q", got, want)
	}
	delete(p["shape.go"], "circle.go") // the arrow that closes the cycle
	if got := p.cycle(); len(got) != 0 {
		t.Errorf("without shape → circle there is the cycle %q", got)
	}
}

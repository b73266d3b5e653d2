package main

import (
	"bytes"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// man writes the manual; nothing is written into a directory that was not named.
func (a *app) man() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "man",
		Short: "Print the manual page, or write all pages into a directory",
		Example: `  snib man | man -l -
  snib man --dir /usr/local/share/man/man1`,
		Args: cobra.NoArgs,
	}
	c.Flags().StringVar(&dir, "dir", "", "directory for the pages of all commands; it is made if it is missing")
	c.RunE = func(c *cobra.Command, _ []string) error {
		root := c.Root()
		root.InitDefaultCompletionCmd()
		header := &doc.GenManHeader{Title: "SNIB", Section: "1", Source: "snib " + version(), Manual: "snib"}
		if dir != "" {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			header.Title = ""
			return doc.GenManTree(root, header, dir)
		}
		var b bytes.Buffer
		if err := doc.GenMan(root, header, &b); err != nil {
			return err
		}
		_, err := a.out.Write(b.Bytes())
		return err
	}
	return c
}

// version is that of the build.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

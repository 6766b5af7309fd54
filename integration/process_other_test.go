//go:build !linux

package integration

import (
	"os/exec"
	"testing"
	"time"
)

func dieWithParent(*exec.Cmd) {}

func (p *process) rss(t testing.TB) int64 { t.Skip("needs /proc"); return 0 }

func (p *process) rssMax(t testing.TB) int64 { t.Skip("needs /proc"); return 0 }

func (p *process) cpu(t testing.TB) time.Duration { t.Skip("needs /proc"); return 0 }

func (p *process) descriptors(t testing.TB) int { t.Skip("needs /proc"); return 0 }

func (p *process) stopped() bool { return true }

func descriptorsHere() int { return 0 }

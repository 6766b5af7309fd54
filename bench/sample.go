//go:build linux

package main

import (
	"maps"
	"slices"
	"syscall"
	"time"

	"brainer/bench/system"
)

// sample is what one run of one side showed.
type sample struct {
	Value float64 `json:"value"` // in the row's unit

	P50  float64 `json:"p50_us,omitempty"`
	P99  float64 `json:"p99_us,omitempty"`
	P999 float64 `json:"p999_us,omitempty"`
	Max  float64 `json:"max_us,omitempty"`

	CPU       map[string]float64 `json:"cpu_us_per_command,omitempty"` // by role
	Generator float64            `json:"generator_cpu_us_per_command,omitempty"`
	Others    float64            `json:"others_percent,omitempty"` // of the machine, used by what is not measured

	Errors     int    `json:"errors,omitempty"`
	FirstError string `json:"first_error,omitempty"`

	More map[string]float64 `json:"more,omitempty"`
}

// meters are the CPU clocks at one moment.
type meters struct {
	at        time.Time
	system    map[string]time.Duration
	generator time.Duration
	busy      time.Duration // the whole machine
}

func readMeters(sys *system.System) (m meters, err error) {
	m.at = time.Now()
	if m.system, err = sys.CPU(); err != nil {
		return m, err
	}
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return m, err
	}
	m.generator = time.Duration(u.Utime.Nano() + u.Stime.Nano())
	m.busy, err = system.BusyCPU()
	return m, err
}

// account shares the CPU between two readings among the commands.
func (s *sample) account(from, to meters, commands float64) {
	if commands == 0 {
		return
	}
	s.CPU = map[string]float64{}
	var known time.Duration
	for role, used := range to.system {
		used -= from.system[role]
		known += used
		s.CPU[role] = micros(used) / commands
	}
	generator := to.generator - from.generator
	s.Generator = micros(generator) / commands
	others := to.busy - from.busy - known - generator
	if elapsed := to.at.Sub(from.at); elapsed > 0 {
		s.Others = max(0, 100*others.Seconds()/elapsed.Seconds()/float64(cpus()))
	}
}

// allCPU is the CPU of all processes of the system.
func (s sample) allCPU() (sum float64) {
	for _, used := range s.CPU {
		sum += used
	}
	return sum
}

// cpu is that of all roles together.
func (s sample) cpu() (us float64) {
	for _, role := range slices.Sorted(maps.Keys(s.CPU)) {
		us += s.CPU[role]
	}
	return us
}

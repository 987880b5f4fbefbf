//go:build linux && (amd64 || arm64)

package engine_test

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// An injector makes system calls of its own process on files of one folder fail, or kills the process before one of them.
// bbolt takes an *os.File and nothing that could be wrapped, so the calls are stopped where they enter the kernel: a seccomp
// filter hands them to a thread of this process, which answers each with an error or lets it through. A filter is never
// taken off, so a test that wants one runs in a process of its own.
type injector struct {
	listener int

	mu     sync.Mutex
	dir    string
	calls  []uint32
	at, n  int           // the calls that fail: n of them, counted from 0
	err    syscall.Errno // 0 kills the process
	seen   int
	failed int
	all    callCounts // calls on files of dir, also those that don't fail
}

// What can be injected into. Reads through the memory map are no calls: see the tests in store for those.
var (
	writeCalls = []uint32{unix.SYS_PWRITE64, unix.SYS_FTRUNCATE}
	syncCalls  = []uint32{unix.SYS_FSYNC, unix.SYS_FDATASYNC}
	punchCalls = []uint32{unix.SYS_FALLOCATE}
	readCalls  = []uint32{unix.SYS_PREAD64}

	changingCalls = slices.Concat(writeCalls, syncCalls, punchCalls)
)

// errNoInjector says that the kernel can't do it.
var errNoInjector = errors.New("no faults can be injected here")

func newInjector() (*injector, error) {
	runtime.LockOSThread() // of no_new_privs, which the filter needs; it takes the other threads along
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("%w: set no_new_privs: %w", errNoInjector, err)
	}
	const (
		loadNumber = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS // seccomp_data.nr is at 0
		jumpEqual  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
		ret        = unix.BPF_RET | unix.BPF_K
	)
	filter := []unix.SockFilter{{Code: loadNumber}}
	calls := slices.Concat(changingCalls, readCalls)
	for i, nr := range calls {
		filter = append(filter, unix.SockFilter{Code: jumpEqual, K: nr, Jt: uint8(len(calls) - i)})
	}
	filter = append(filter, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_ALLOW}, unix.SockFilter{Code: ret, K: unix.SECCOMP_RET_USER_NOTIF})
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	// A call that is being answered isn't begun anew when a signal comes, as the runtime's do: it would be counted twice.
	const flags = unix.SECCOMP_FILTER_FLAG_TSYNC | unix.SECCOMP_FILTER_FLAG_TSYNC_ESRCH |
		unix.SECCOMP_FILTER_FLAG_NEW_LISTENER | unix.SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return nil, fmt.Errorf("%w: set a seccomp filter with a listener: %w", errNoInjector, errno)
	}
	i := &injector{listener: int(fd)}
	go i.serve()
	return i, nil
}

// serve answers calls until the process ends. It makes none of those itself.
func (i *injector) serve() {
	type notification struct {
		id         uint64
		pid, flags uint32
		nr         int32
		arch       uint32
		ip         uint64
		args       [6]uint64
	}
	type response struct {
		id    uint64
		val   int64
		err   int32
		flags uint32
	}
	ioctl := func(req uintptr, arg unsafe.Pointer) error {
		for {
			_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(i.listener), req, uintptr(arg))
			if errno == 0 {
				return nil
			}
			if errno != unix.EINTR {
				return errno
			}
		}
	}
	for {
		var in notification
		if err := ioctl(unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&in)); errors.Is(err, unix.ENOENT) {
			continue // a signal came before it was received
		} else if err != nil {
			panic(err)
		}
		out := response{id: in.id, flags: unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE}
		if errno, inject := i.decide(uint32(in.nr), int(in.args[0])); inject && errno == 0 {
			_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		} else if inject {
			out = response{id: in.id, err: -int32(errno)}
		}
		if err := ioctl(unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&out)); err != nil && !errors.Is(err, unix.ENOENT) {
			panic(err)
		}
	}
}

func (i *injector) decide(nr uint32, fd int) (errno syscall.Errno, inject bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.dir == "" {
		return 0, false
	}
	path, err := os.Readlink(fmt.Sprint("/proc/self/fd/", fd))
	if err != nil || !strings.HasPrefix(path, i.dir) { // unlinked files have their old name and something behind it
		return 0, false
	}
	if i.all[nr]++; !slices.Contains(i.calls, nr) {
		return 0, false
	}
	i.seen++
	if inject = i.seen > i.at && i.seen <= i.at+i.n; inject {
		i.failed++
	}
	return i.err, inject
}

// arm makes n of the calls on files in dir fail, from the at-th on. err 0 kills the process in their place.
func (i *injector) arm(dir string, calls []uint32, at, n int, err syscall.Errno) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.dir, i.calls, i.at, i.n, i.err, i.seen, i.failed = dir, calls, at, n, err, 0, 0
	i.all = make(callCounts)
}

// callCounts says how often there was a call.
type callCounts map[uint32]int

func (c callCounts) of(calls []uint32) (n int) {
	for _, nr := range calls {
		n += c[nr]
	}
	return n
}

// counts returns how many calls there were since arm.
func (i *injector) counts() callCounts {
	i.mu.Lock()
	defer i.mu.Unlock()
	return maps.Clone(i.all)
}

// disarm lets all calls through again.
func (i *injector) disarm() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.dir = ""
}

// failures returns how many calls failed since arm.
func (i *injector) failures() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.failed
}

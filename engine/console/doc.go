// Package console is the page for the people who run a store: its dataset groups and row counts, its jobs with live
// progress, the receipts of deletions, and a form that makes a deletion job, or a dry run, of an uploaded list.
//
// A [Console] is an [net/http.Handler]. It answers "/" and all below "/console/", so it shares a server with the API:
//
//	mux.Handle("GET /{$}", c)
//	mux.Handle("/console/", c)
//
// The server sets the timeouts; an upload moves the connection's deadlines while bytes arrive.
//
// # Who may use it
//
// Every request must name an allowed host and, if it has an Origin, that of the page itself; requests that another site
// makes are refused by Sec-Fetch-Site as well. Those that change something must show where they come from: an Origin, a
// Sec-Fetch-Site of same-origin, or the token in an Authorization header. If there is a token, everything but the style
// and the script needs it: "Authorization: Bearer TOKEN", or a cookie that the login form sets. /?token=TOKEN logs in once
// in the life of a Console, for a link that is printed when a server starts.
//
// # Lists
//
// An uploaded list holds user IDs. It goes to a folder of its own as it arrives, never whole into memory, and is overwritten
// with zeros and removed as soon as its job has read it for good or has failed; so is one whose dry run was discarded or is
// 15 minutes old. [New] does the same with lists that no unfinished job needs: those a process left that was
// killed. As with the store, what lies below a file (flash, copy-on-write file systems) is outside a program's reach. No
// content of a list is ever shown or logged.
//
// # Endpoints
//
// These are for the page; they are not the API's and can change. They answer GET with JSON, times as in RFC 3339, and
// {"error": "..."} with a status of 400 or more.
//
//	/console/api/overview             groups, their datasets and row counts: [Overview]
//	/console/api/jobs                 jobs of all kinds, newest first: [JobPage]; ?group=NAME those of one group,
//	                                  ?before=SEQ those older than a job
//	/console/api/jobs/KIND/NAME       one job: [Job]; KIND is that in its ARN, such as data-deletion-job
package console

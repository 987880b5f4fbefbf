// Package bench makes synthetic datasets of any size for tests and measurements, and measures Expunge with them.
//
// A dataset is users, items and interactions as CSV with their schemas, and deletion lists to go with them.
// It is not a model of recommendation: users have no taste, and an item's popularity doesn't change with
// time. What it does resemble is what the cost of storing and deleting hangs on: how unevenly the rows are
// spread over users and items, how a user's rows are scattered over a file in order of arrival, and how many
// bytes a row has (about 47 in interactions.csv).
//
// # How it measures
//
// [Run] imports interactions and measures the [Scenarios] through package engine's exported calls, nothing else,
// so that an embedder could measure the same. The generator says what must be left after each list
// ([Config.Remaining]: a count, exact sums and a digest, in any order), and every read is compared with that:
// a figure of a wrong result is an error. A timed scan sums every byte of every column; the digest is compared
// in a scan that isn't timed, because a hash of each row costs more than reading it.
//
// Each run begins with a fresh copy of one imported store, synced, and with the process's unused memory given
// back to the system. So a run pays for its memory as a new process would, and the peaks of one run don't hide
// in those of another. Memory is sampled, peaks of less than 5 ms can be missed; VmHWM misses none.
//
// A [Result] is written as text that benchstat reads, as JSON, or as one HTML page with charts.
//
// # How the generator works
//
// The rows come out in the order of time, with nothing kept per user or item, so that a dataset of a billion
// rows and twenty million users takes no more memory than its busiest hours. Time goes by the hour. For each
// hour, visits are begun until the rows scheduled have reached the hour's part of the dataset, by the
// weights of the hour and the weekday. A visit has a user, a second to begin at and a number of rows. Open
// visits lie in a timing wheel, a list for each second to come: the one that is due writes a row, draws the
// gap to its next row and goes back into the wheel. So a user's rows are as far apart in the file as they
// are in time.
//
// The user of a visit is drawn by rank from a log-normal distribution of activity that is cut off at the
// top, and a keyed permutation turns the rank into a user. Every user is owed one visit besides; these are
// spread evenly over the file in an order of their own. Items are drawn by rank from the law of Zipf and
// Mandelbrot, and permuted as well. Where there are few rows per user, visits are shortened so that all
// users get theirs. No draw takes longer, or more memory, for more users or items.
//
// All randomness is splitmix64 and all floating point is plain arithmetic, with no fused operations and none
// from the math package: the bytes of a dataset are part of the package's contract, and digests in its tests
// hold them.
//
// # How it fits real data
//
// The parameters of the two shapes were fitted to real data; the distributions of the number of rows in a
// visit and of the gaps in it are the measured ones. "Gap" is the time between consecutive rows of one user;
// KS is the Kolmogorov-Smirnov distance of the two distributions. Generated with the numbers of users, rows
// and days of the original, seed 1.
//
// [Ratings]: MovieTweetings 100K (16,554 users, 100,000 rows, 185 days). Visits end at a gap of more than a
// day. Activity: sigma 2.375, cut off at 2 standard deviations. Popularity: exponent 1.2, shift 0.001 of a
// catalogue of 18,385 items, of which 10,506 have rows in the original and 11,492 here.
//
//	                    quantile  10%   25%     50%     75%       90%       99%       99.9%      KS
//	rows of a user      real      1     1       2       5         15        58        164
//	                    made      1     1       2       5         14        63        129        0.03
//	rows of an item     real      1     1       2       5         15        132       837
//	                    made      1     1       2       4         10        134       806        0.05
//	gap in seconds      real      36    6,627   170,564 689,018   1,986,666 7,739,547 12,801,989
//	                    made      34    4,607   107,729 820,450   2,483,353 8,923,247 13,039,345 0.08
//
//	share of rows of the top     0.1%   1%     10%    20%    50%
//	users               real     0.035  0.165  0.560  0.730  0.909
//	                    made     0.027  0.146  0.573  0.733  0.904
//	items               real     0.120  0.408  0.739  0.842  0.945
//	                    made     0.119  0.435  0.756  0.836  0.934
//
// [Shop]: Online Retail, December to February (1,749 users, 69,125 rows, 90 days). Visits end at a gap of
// more than 30 minutes. Activity: sigma 1.375, cut off at 3 standard deviations. Popularity: exponent 2,
// shift 0.15 of a catalogue of 3,159 items, of which 2,776 have rows in the original and 3,131 here. The
// lines of an invoice bear one time, hence the gaps of zero.
//
//	                    quantile  10%   25%     50%     75%       90%       99%       99.9%      KS
//	rows of a user      real      4     11      22      48        90        251       757
//	                    made      2     10      23      49        93        273       557        0.05
//	rows of an item     real      1     4       12      31        65        176       321
//	                    made      3     5       9       24        61        147       175        0.10
//	gap in seconds      real      0     0       0       0         0         1,661,040 5,179,620
//	                    made      0     0       0       0         0         1,435,249 4,929,839  0.002
//
//	share of rows of the top     0.1%   1%     10%    20%    50%
//	users               real     0.012  0.110  0.409  0.587  0.865
//	                    made     0.010  0.094  0.409  0.592  0.876
//	items               real     0.013  0.093  0.441  0.643  0.910
//	                    made     0.008  0.072  0.463  0.660  0.891
//
// What doesn't fit: with Ratings, gaps of hours are too frequent and gaps of some days too rare, since real
// users also come back after a few days; the most popular items draw too little in both. Exact repeats of a
// row can occur, mostly with Shop, as they do in the original. Event types, prices off, ages and memberships
// are not measured but made up; prices are the shop's.
package bench

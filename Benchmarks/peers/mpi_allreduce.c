// Float32 all-reduces over MPI, like `worker bench allreduce`: mpi_allreduce BYTES REPEATS FOLDER.
//
// mpirun hands standard input to one rank only, and a rank that waits in MPI spins. So before each round each rank
// reads a line from a pipe of its own, FOLDER/RANK, and the turns of the others are not disturbed. Rank 0 prints a line
// of JSON for each rank.
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

static void print(long bytes, const double *seconds, int repeats) {
  printf("{\"bytes\": %ld, \"seconds\": [", bytes);
  for (int turn = 0; turn < repeats; turn++) printf("%s%.9f", turn ? ", " : "", seconds[turn]);
  printf("]}\n");
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  int rank, ranks;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &ranks);
  if (argc != 4) {
    fprintf(stderr, "usage: mpi_allreduce BYTES REPEATS FOLDER\n");
    MPI_Abort(MPI_COMM_WORLD, 64);
  }
  const long bytes = atol(argv[1]);
  const int repeats = atoi(argv[2]), count = (int)(bytes / 4);
  float *partial = malloc(bytes), *sum = malloc(bytes);
  double *seconds = malloc(repeats * sizeof(double)), *all = malloc((size_t)ranks * repeats * sizeof(double));
  char path[4096], line[64];
  snprintf(path, sizeof path, "%s/%d", argv[3], rank);
  FILE *turns = fopen(path, "r");
  if (!partial || !sum || !seconds || !all || !turns) {
    perror(path);
    MPI_Abort(MPI_COMM_WORLD, 74);
  }
  for (int i = 0; i < count; i++) partial[i] = (float)(i % 1000 + rank) / 1000, sum[i] = 0;

  while (fgets(line, sizeof line, turns)) {
    // The first one brings all to the same point.
    for (int turn = -1; turn < repeats; turn++) {
      const double begin = MPI_Wtime();
      MPI_Allreduce(partial, sum, count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
      if (turn >= 0) seconds[turn] = MPI_Wtime() - begin;
    }
    MPI_Gather(seconds, repeats, MPI_DOUBLE, all, repeats, MPI_DOUBLE, 0, MPI_COMM_WORLD);
    if (rank == 0) {
      for (int from = 0; from < ranks; from++) print(bytes, all + (size_t)from * repeats, repeats);
      fflush(stdout);
    }
  }
  MPI_Finalize();
}

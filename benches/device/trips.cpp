// How often the loops of unknown length turn, for one robot and for a warp of 32 that goes on as long as its slowest:
// roofline.py compiles this with SOURCE, the twin's text of a robot in the fast mode. Random actions, steps 20 to 60.
#include <algorithm>
#include <cstdio>
#include <random>
#include <vector>

struct Moment {
  int contacts;
  std::vector<int> searches;  // line-search evaluations beyond the first, for each Newton step
};
static std::vector<Moment> *moments;

#define COUNT_WORK(which)                                           \
  {                                                                 \
    if (which == 0) moments->push_back({count, {}});                \
    if (which == 1) moments->back().searches.push_back(0);          \
    if (which == 2) moments->back().searches.back()++;              \
  }
#include SOURCE

enum { ROBOTS = 1024, WARP = 32 };

// Contacts, Newton steps, contacts in gradients, contacts in Hessians, line-search evaluations, contacts in those.
static void add(const std::vector<std::vector<Moment>> &all, int first, int robots, size_t moment, double total[6]) {
  size_t newton = 0;
  int contacts = 0;
  for (int e = first; e < first + robots; e++) {
    contacts = std::max(contacts, all[e][moment].contacts);
    newton = std::max(newton, all[e][moment].searches.size());
  }
  total[0] += robots * contacts;
  total[1] += double(robots) * newton;
  for (size_t step = 0; step <= newton; step++) {
    int here = 0, going_on = 0, evaluations = 0;
    for (int e = first; e < first + robots; e++) {
      const Moment &m = all[e][moment];
      if (m.searches.size() >= step) here = std::max(here, m.contacts);
      if (m.searches.size() > step) {
        going_on = std::max(going_on, m.contacts);
        evaluations = std::max(evaluations, m.searches[step] + 1);
      }
    }
    total[2] += robots * here;
    total[3] += robots * going_on;
    total[4] += robots * evaluations;
    total[5] += robots * evaluations * going_on;
  }
}

int main() {
  std::vector<double> way(ROBOTS), rewards(ROBOTS), returns(ROBOTS);
  std::vector<real> numbers(STATE_ROWS * ROBOTS);
  std::vector<u64> seeds(ROBOTS);
  std::vector<int> ages(ROBOTS), status(ROBOTS, TERMINATED);
  std::vector<float> observations((2 * DOFS - 1) * ROBOTS), actions(MOTORS * ROBOTS);
  for (int e = 0; e < ROBOTS; e++) seeds[e] = e;
  const Environments envs = {way.data(), numbers.data(), seeds.data(), ages.data(), status.data(), returns.data()};
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<std::vector<Moment>> all(ROBOTS);
  double one[6] = {}, warp[6] = {};
  long count = 0;
  for (int t = 0; t < 60; t++) {
    for (float &action : actions) action = uniform(random);
    for (int e = 0; e < ROBOTS; e++) {
      begin_environment(envs, observations.data(), ROBOTS, e, ROBOTS);
      all[e].clear();
      moments = &all[e];
      advance_environment(envs, actions.data(), observations.data(), rewards.data(), 1, e, ROBOTS);
    }
    if (t < 20) continue;
    for (size_t m = 0; m < all[0].size(); m++) {
      for (int e = 0; e < ROBOTS; e++) add(all, e, 1, m, one);
      for (int e = 0; e < ROBOTS; e += WARP) add(all, e, WARP, m, warp);
      count += ROBOTS;
    }
  }
  printf("%zu", all[0].size());
  for (int k = 0; k < 6; k++) printf(" %.4f %.4f", one[k] / count, warp[k] / count);
  printf("\n");
}
